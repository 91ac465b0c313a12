// Command go-client asks a key server as a Talos node does, with the libraries that Talos uses.
//
//	go-client -endpoint [https://]HOST:PORT [-roots FILE] -node UUID [-tick 30s] [-tries 10] seal|unseal <data >answer
//	go-client -endpoint [https://]HOST:PORT [-roots FILE] -node UUID -data FILE keep
//
// Each try has a connection of its own, 10 s for everything, and no waiting for the server to come up. After a
// failed try comes the next one: at once when the text of the error is a new one, as Talos 1.10 and later do, else with
// the next tick. Each error goes to standard error, on a line of its own.
//
// The endpoint is read as Talos reads it: with https:// it means TLS. What the client trusts then is a file of roots, as
// Talos has one.
//
// With "keep" one connection serves for all calls, one Unseal for each line of standard input. Each answer is a line of
// standard output that says over what it came.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/siderolabs/kms-client/api/kms"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/peer"
)

// What Talos gives one call, connecting included.
const callTimeout = 10 * time.Second

type node struct {
	endpoint string
	roots    string
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

	flag.StringVar(&asker.endpoint, "endpoint", "127.0.0.1:4050", "`HOST:PORT` of the server, behind https:// for TLS")
	flag.StringVar(&asker.roots, "roots", "/etc/ssl/certs/ca-certificates.crt", "`FILE` of the roots that are trusted")
	flag.StringVar(&asker.uuid, "node", "", "`UUID` of the node, which may be empty")
	tick := flag.Duration("tick", 30*time.Second, "time between tries while the error stays the same")
	tries := flag.Int("tries", 10, "how often to ask; a node never stops")
	file := flag.String("data", "", "`FILE` with what to unseal over a connection that is kept")
	flag.Parse()

	operation := flag.Arg(0)
	if operation == "keep" {
		return asker.keep(*file)
	}

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

// dial is what Talos does with an endpoint.
func (n node) dial() (*grpc.ClientConn, error) {
	host, isTLS := strings.CutPrefix(n.endpoint, "https://")
	if !isTLS {
		return grpc.NewClient(host, grpc.WithTransportCredentials(insecure.NewCredentials()))
	}

	file, err := os.ReadFile(n.roots)
	if err != nil {
		return nil, err
	}

	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(file)

	return grpc.NewClient(host, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: roots})))
}

// keep calls once for each line that it reads, over one connection.
func (n node) keep(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}

	conn, err := n.dial()
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck

	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout)

		var server peer.Peer

		_, err := kms.NewKMSServiceClient(conn).Unseal(ctx, &kms.Request{NodeUuid: n.uuid, Data: data}, grpc.Peer(&server))

		cancel()

		if err != nil {
			return err
		}

		info, isTLS := server.AuthInfo.(credentials.TLSInfo)
		if !isTLS {
			fmt.Println("answered", server.LocalAddr)
			continue
		}

		fmt.Println("answered", server.LocalAddr, tls.VersionName(info.State.Version), info.State.NegotiatedProtocol,
			info.State.CurveID, info.State.PeerCertificates[0].SerialNumber)
	}

	return nil
}

// ask is one try.
func (n node) ask(operation string, data []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()

	conn, err := n.dial()
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
