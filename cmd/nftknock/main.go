// Command nftknock knocks at doors that nftknockd, or any other port-knocking
// daemon, guards. It has the command line of knock(1), and profiles.
package main

import (
	"os"

	"nftknock/cmd/nftknock/internal/cli"
)

func main() {
	os.Exit(cli.Run(os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}
