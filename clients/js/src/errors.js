/* What a promise is rejected with, and what this client refuses by itself.
 *
 * Rule: everything else in `code` is the server's, see docs/wire.md.
 */

export const CLOSED = { code: "closed", message: "The client was closed." };
export const EXPIRED = { code: "expired", message: "It could not be sent in time." };
export const NOT_JOINED = { code: "not_joined", message: "Not in this room." };
export const QUEUE_FULL = { code: "queue_full", message: "Several messages are still on their way." };
export const TOO_LONG = { code: "text_too_long", message: "The text is longer than any server takes." };
export const TOO_LARGE = { code: "bad_request", message: "This is more than a server takes at once." };
/* Whether it was done is not known. */
export const UNANSWERED = { code: "unanswered", message: "There is no connection just now." };
export const IN_DOUBT = { code: "unanswered", message: "It may have been published, or not." };

/** A refusal, by the server or by this client. */
export class DanmakuError extends Error {
  /** @param {{code: string, message?: string, retry_after?: number}} refusal */
  constructor({ code, message, retry_after: retryAfter }) {
    super(message || code);
    this.name = "DanmakuError";
    /** What is wrong, for programs. */
    this.code = code;
    /** Seconds after which trying again may help; undefined where it does not. */
    this.retry_after = retryAfter;
  }
}
