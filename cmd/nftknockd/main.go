// Command nftknockd is the port-knocking gate: the daemon, and the
// administrator's commands around it.
package main

import (
	"os"

	"nftknock/cmd/nftknockd/internal/cli"
)

func main() {
	os.Exit(cli.Run(os.Args[1:], os.Stdout, os.Stderr))
}
