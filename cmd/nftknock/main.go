// Command nftknock knocks at doors that nftknockd, or any other port-knocking
// daemon, guards. It has the command line of knock(1), and profiles.
package main

import (
	"errors"
	"fmt"
	"os"

	"nftknock/config/profile"
)

// Exit statuses, those of knock(1): it has no other for wrong usage.
const (
	exitDone   = 0
	exitFailed = 1
)

func main() {
	os.Exit(run(os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}

// streams are where the program reads and writes. They are files, not readers and
// writers, since the system copies between files and connections faster.
type streams struct{ in, out, err *os.File }

func run(args []string, std streams) int {
	root := rootCommand(std)
	root.SetArgs(args)
	root.SetIn(std.in)
	root.SetOut(std.out)
	root.SetErr(std.err)
	called, err := root.ExecuteC()
	if err != nil {
		printError(std.err, err)
		return exitFailed
	}
	if help, _ := root.Flags().GetBool("help"); help && called == root {
		return exitFailed // as knock(1) does
	}
	return exitDone
}

// printError prints problems of the profiles a line each, as compilers do, and any
// other error as one.
func printError(w *os.File, err error) {
	var problems profile.Errors
	if errors.As(err, &problems) {
		fmt.Fprintln(w, problems)
		return
	}
	fmt.Fprintf(w, "nftknock: %v\n", err)
}
