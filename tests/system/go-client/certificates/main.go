// Command certificates makes a throw-away chain as a public authority has it: a root, an authority below it, and a
// server's certificate below that.
//
//	certificates -directory DIRECTORY -names NAME,ADDRESS,... -from -24h -until 720h NAME
//
// It writes NAME.chain.pem (the server's certificate, then the authority's), NAME.alone.pem (without the authority's) and
// NAME.key.pem. Root and authority are made with the first of them, and kept.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"flag"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "certificates:", err)
		os.Exit(1)
	}
}

func run() error {
	directory := flag.String("directory", ".", "`DIRECTORY` to write to")
	names := flag.String("names", "", "names and addresses of the server, with commas between them")
	from := flag.Duration("from", -24*time.Hour, "when it becomes valid, from now")
	until := flag.Duration("until", 90*24*time.Hour, "when it ends, from now")
	flag.Parse()

	if flag.NArg() != 1 {
		return fmt.Errorf("say what to call the files")
	}

	root, err := keptAuthority(*directory, "root", nil)
	if err != nil {
		return err
	}

	between, err := keptAuthority(*directory, "authority", &root)
	if err != nil {
		return err
	}

	template := template("server", *from, *until)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}

	for name := range strings.SplitSeq(*names, ",") {
		if address := net.ParseIP(name); address != nil {
			template.IPAddresses = append(template.IPAddresses, address)
		} else if name != "" {
			template.DNSNames = append(template.DNSNames, name)
		}
	}

	server, err := issue(template, &between)
	if err != nil {
		return err
	}

	path := func(end string) string { return filepath.Join(*directory, flag.Arg(0)+end) }
	alone := certificatePEM(server.certificate)

	if err := os.WriteFile(path(".alone.pem"), alone, 0o644); err != nil {
		return err
	}

	if err := os.WriteFile(path(".chain.pem"), append(alone, certificatePEM(between.certificate)...), 0o644); err != nil {
		return err
	}

	return writeKey(path(".key.pem"), server.key)
}

func template(name string, from, until time.Duration) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62)) //nolint:errcheck

	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "throw-away " + name},
		NotBefore:    time.Now().Add(from),
		NotAfter:     time.Now().Add(until),
	}
}

func issue(template *x509.Certificate, by *authority) (authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, err
	}

	if by == nil {
		by = &authority{template, key}
	}

	der, err := x509.CreateCertificate(rand.Reader, template, by.certificate, &key.PublicKey, by.key)
	if err != nil {
		return authority{}, err
	}

	certificate, err := x509.ParseCertificate(der)

	return authority{certificate, key}, err
}

// keptAuthority reads the authority of this name, or makes it.
func keptAuthority(directory, name string, by *authority) (authority, error) {
	certificatePath, keyPath := filepath.Join(directory, name+".pem"), filepath.Join(directory, name+".key.pem")

	if certificate, err := readPEM(certificatePath); err == nil {
		key, err := readPEM(keyPath)
		if err != nil {
			return authority{}, err
		}

		parsed, err := x509.ParseCertificate(certificate)
		if err != nil {
			return authority{}, err
		}

		private, err := x509.ParsePKCS8PrivateKey(key)
		if err != nil {
			return authority{}, err
		}

		return authority{parsed, private.(*ecdsa.PrivateKey)}, nil //nolint:forcetypeassert
	}

	template := template(name, -24*time.Hour, 10*365*24*time.Hour)
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign

	made, err := issue(template, by)
	if err != nil {
		return authority{}, err
	}

	if err := os.WriteFile(certificatePath, certificatePEM(made.certificate), 0o644); err != nil {
		return authority{}, err
	}

	return made, writeKey(keyPath, made.key)
}

func certificatePEM(certificate *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})
}

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}

	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

func readPEM(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}

	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s is no PEM", path)
	}

	return block.Bytes, nil
}
