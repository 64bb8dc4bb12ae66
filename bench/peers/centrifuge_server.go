// A Centrifuge node to measure: anonymous, and the path is the channel one is in from the start.
//
// What it is: the engine of Centrifugo, in its default configuration, as its own examples set it up:
// memory broker, JSON. GET upgrades; what a client publishes goes to everyone in the channel, and
// so does the body of a POST, which is how a backend publishes. Arguments: the address to listen at.
package main

import (
	"context"
	"io"
	"log"
	"net/http"
	"os"

	"github.com/centrifugal/centrifuge"
)

type channel struct{}

func connecting(ctx context.Context, _ centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
	name, _ := ctx.Value(channel{}).(string)
	return centrifuge.ConnectReply{
		Credentials:   &centrifuge.Credentials{},
		Subscriptions: map[string]centrifuge.SubscribeOptions{name: {}},
	}, nil
}

func connected(client *centrifuge.Client) {
	client.OnPublish(func(_ centrifuge.PublishEvent, done centrifuge.PublishCallback) {
		done(centrifuge.PublishReply{}, nil)
	})
}

func main() {
	node, err := centrifuge.New(centrifuge.DefaultConfig)
	if err != nil {
		log.Fatal(err)
	}
	node.OnConnecting(connecting)
	node.OnConnect(connected)
	if err := node.Run(); err != nil {
		log.Fatal(err)
	}
	viewers := centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{})
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			ctx := context.WithValue(r.Context(), channel{}, r.URL.Path)
			viewers.ServeHTTP(w, r.WithContext(ctx))
			return
		}
		body, err := io.ReadAll(r.Body)
		if err == nil {
			_, err = node.Publish(r.URL.Path, body)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	log.Fatal(http.ListenAndServe(os.Args[1], nil))
}
