/* What only npm brings: where it is not installed a test is skipped, but never in CI. */

/** The module of that name, or undefined. */
export async function optional(name) {
  try {
    return await import(name);
  } catch (error) {
    if (process.env.CI || error.code !== "ERR_MODULE_NOT_FOUND") throw error;
    return undefined;
  }
}
