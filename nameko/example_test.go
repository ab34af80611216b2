package nameko_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"

	"hangar/nameko"
)

// A service with a method and an event handler, one that calls it, and one that
// announces an event. It runs where EXAMPLE_AMQP_URI names a broker.
func Example() {
	url := os.Getenv("EXAMPLE_AMQP_URI") // such as amqp://guest:guest@localhost
	broker, err := nameko.NewBroker(nameko.Config{URL: url})
	if err != nil {
		fmt.Println(err)
		return
	}

	greeter := nameko.NewServer(broker, "greeter", 0, 0)
	greeter.Handle("greet", nameko.Params("name"), func(_ context.Context, args nameko.Args) (any, error) {
		name, ok := args["name"].(string)
		if !ok {
			return nil, nameko.Errorf("greeter.exceptions.NoName", "%v is no name", args["name"])
		}
		return map[string]string{"greeting": "Hello, " + name}, nil
	})
	handled := make(chan string)
	arrivals := nameko.Subscription{Source: "door", Event: "arrived", Method: "welcome"}
	greeter.HandleEvent(arrivals, func(_ context.Context, e nameko.Event) error {
		var who string
		err := json.Unmarshal(e.Payload, &who)
		handled <- who
		return err
	})
	client := nameko.NewClient(broker, "visitor")
	door := nameko.NewPublisher(broker, "door", nameko.Subscriber{Service: "greeter", Subscription: arrivals})

	// Each Run works until its context is done; the broker stops last.
	ctx, stop := context.WithCancel(context.Background())
	connected, disconnect := context.WithCancel(context.Background())
	var services, connection sync.WaitGroup
	connection.Go(func() { broker.Run(connected) })
	services.Go(func() { greeter.Run(ctx) })
	services.Go(func() { client.Run(ctx) })
	<-greeter.Ready()

	var reply struct{ Greeting string }
	result, err := client.Call(ctx, nameko.Call{Service: "greeter", Method: "greet", Args: []any{"Ada"}})
	if err == nil {
		err = result.Decode(&reply)
	}
	fmt.Println(reply.Greeting, err)

	_, err = client.Call(ctx, nameko.Call{Service: "greeter", Method: "greet", Kwargs: map[string]any{"name": 7}})
	fmt.Println(err, nameko.IsError(err, "greeter.exceptions.NoName"))

	_, err = client.Call(ctx, nameko.Call{Service: "nobody", Method: "home"})
	fmt.Println(err)

	err = door.Publish(ctx, nameko.Event{Type: "arrived", Payload: []byte(`"Grace"`)})
	fmt.Println(<-handled, err)

	stop()
	services.Wait()
	disconnect()
	connection.Wait()
	// Output:
	// Hello, Ada <nil>
	// NoName 7 is no name true
	// call nobody.home: unknown service
	// Grace <nil>
}
