// Command go-client asks a key server as a Talos node does, with the libraries that Talos uses.
//
//	go-client -endpoint HOST:PORT -node UUID [-tick 30s] [-tries 10] seal|unseal <data >answer
//
// Each try has a connection of its own, no TLS, 10 s for everything, and no waiting for the server to come up. After a
// failed try comes the next one: at once when the text of the error is a new one, as Talos 1.10 and later do, else with
// the next tick. Each error goes to standard error, on a line of its own.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/siderolabs/kms-client/api/kms"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// What Talos gives one call, connecting included.
const callTimeout = 10 * time.Second

type node struct {
	endpoint string
	uuid     string
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "go-client:", err)
		os.Exit(1)
	}
}

func run() error {
	var asker node

	flag.StringVar(&asker.endpoint, "endpoint", "127.0.0.1:4050", "`HOST:PORT` of the server")
	flag.StringVar(&asker.uuid, "node", "", "`UUID` of the node, which may be empty")
	tick := flag.Duration("tick", 30*time.Second, "time between tries while the error stays the same")
	tries := flag.Int("tries", 10, "how often to ask; a node never stops")
	flag.Parse()

	operation := flag.Arg(0)
	if flag.NArg() != 1 || (operation != "seal" && operation != "unseal") {
		return fmt.Errorf("say what to do: seal or unseal")
	}

	data, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}

	answer, err := asker.askUntilAnswered(operation, data, *tick, *tries)
	if err != nil {
		return err
	}

	_, err = os.Stdout.Write(answer)

	return err
}

// askUntilAnswered returns the first answer, or the last of so many errors.
func (n node) askUntilAnswered(operation string, data []byte, tick time.Duration, tries int) ([]byte, error) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()

	for last := ""; ; tries-- {
		answer, err := n.ask(operation, data)
		if err == nil {
			return answer, nil
		}

		if tries <= 1 {
			return nil, err
		}

		if err.Error() == last {
			<-ticker.C
			continue
		}

		last = err.Error()
		fmt.Fprintln(os.Stderr, last)
	}
}

// ask is one try.
func (n node) ask(operation string, data []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()

	conn, err := grpc.NewClient(n.endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	defer conn.Close() //nolint:errcheck

	client := kms.NewKMSServiceClient(conn)
	request := &kms.Request{NodeUuid: n.uuid, Data: data}

	call := client.Unseal
	if operation == "seal" {
		call = client.Seal
	}

	response, err := call(ctx, request)
	if err != nil {
		return nil, err
	}

	return response.Data, nil
}
