// Applies a patch of a machine configuration with the libraries of Talos itself, and says whether what comes out is one.
//
// With the file of a machine configuration as its argument it reads the patch from standard input; without one it prints a
// new machine configuration to begin with. What is printed was decoded into Talos' own types, which refuse what they do not
// know, validated, and written from there: so it has nothing but what Talos makes of the patch.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/siderolabs/talos/pkg/machinery/config/config"
	"github.com/siderolabs/talos/pkg/machinery/config/configloader"
	"github.com/siderolabs/talos/pkg/machinery/config/configpatcher"
	"github.com/siderolabs/talos/pkg/machinery/config/encoder"
	"github.com/siderolabs/talos/pkg/machinery/config/generate"
	"github.com/siderolabs/talos/pkg/machinery/config/machine"
)

// A machine as most are, without a look at the disks of the machine that this runs on.
type metal struct{}

func (metal) String() string        { return "metal" }
func (metal) RequiresInstall() bool { return false }
func (metal) InContainer() bool     { return false }

func main() {
	var err error
	if len(os.Args) == 2 {
		err = apply(os.Args[1])
	} else {
		err = create()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// create prints the machine configuration of a new control plane.
func create() error {
	input, err := generate.NewInput("home", "https://192.0.2.10:6443", "1.30.0", generate.WithInstallDisk("/dev/sda"))
	if err != nil {
		return err
	}
	created, err := input.Config(machine.TypeControlPlane)
	if err != nil {
		return err
	}
	return print(created)
}

// apply prints what the patch makes of the machine configuration in this file.
func apply(path string) error {
	base, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	patch, err := io.ReadAll(io.LimitReader(os.Stdin, 1<<20))
	if err != nil {
		return err
	}
	loaded, err := configpatcher.LoadPatch(patch)
	if err != nil {
		return fmt.Errorf("the patch cannot be loaded: %w", err)
	}
	patched, err := configpatcher.Apply(configpatcher.WithBytes(base), []configpatcher.Patch{loaded})
	if err != nil {
		return fmt.Errorf("the patch cannot be applied: %w", err)
	}
	bytes, err := patched.Bytes()
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	result, err := configloader.NewFromBytes(bytes)
	if err != nil {
		return fmt.Errorf("what comes out cannot be loaded: %w", err)
	}
	warnings, err := result.Validate(metal{})
	if err != nil {
		return fmt.Errorf("what comes out is not valid: %w", err)
	}
	for _, warning := range warnings {
		fmt.Fprintln(os.Stderr, "warning:", warning)
	}
	return print(result)
}

func print(config config.Encoder) error {
	bytes, err := config.EncodeBytes(encoder.WithComments(encoder.CommentsDisabled))
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	_, err = os.Stdout.Write(bytes)
	return err
}
