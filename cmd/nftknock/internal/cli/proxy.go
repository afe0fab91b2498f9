package cli

import (
	"fmt"
	"net"

	"github.com/spf13/cobra"

	"nftknock/cmd/nftknock/internal/knocker"
	"nftknock/cmd/nftknock/internal/relay"
	"nftknock/knock"
)

func proxyCommand(std Streams) *cobra.Command {
	var o options
	var fdpass bool
	cmd := &cobra.Command{
		Use:   "proxy [flags] NAME | [flags] HOST PORT KNOCK[:PROTO]...",
		Short: "Knock, connect, and be the connection: an ssh ProxyCommand",
		Long: `Knocks, connects to the port behind the door, and copies standard input to it and what
it says to standard output, until both have ended. For ssh_config(5):

  Host home
      ProxyCommand nftknock proxy home

The port is that of the profile ("wait"), or the first one after the HOST.

With --fdpass it hands the connection over to ssh and ends, and ssh is as fast as without a
ProxyCommand; ssh has to expect that:

  Host home
      ProxyCommand nftknock proxy --fdpass home
      ProxyUseFdpass yes`,
		Example: `  nftknock proxy home
  nftknock proxy server.example.org 22 7000 8000:udp 9000`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 && len(args) < 3 {
				return fmt.Errorf("write proxy NAME, or proxy HOST PORT KNOCK...\nhint: nftknock proxy --help")
			}
			return nil
		},
		ValidArgsFunction: completeProfile,
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := o.proxyTarget(cmd, args)
			if err != nil {
				return err
			}
			// Standard output is the stream's alone.
			answer, err := (&knocker.Knocker{Target: t, Dial: knocker.Connect, Stderr: std.Err, Notes: std.Err}).UntilAnswer()
			if err != nil {
				return err
			}
			conn := answer.(*net.TCPConn)
			if fdpass {
				return relay.HandOver(conn, std.Out)
			}
			return knocker.Reason(relay.Copy(conn, std.In, std.Out))
		},
	}
	o.addFlags(cmd.Flags())
	cmd.Flags().BoolVar(&fdpass, "fdpass", false, "hand the connection over: for ssh's ProxyUseFdpass")
	return cmd
}

// proxyTarget makes a target of NAME, or of HOST PORT KNOCK....
func (o *options) proxyTarget(cmd *cobra.Command, args []string) (*knocker.Target, error) {
	if len(args) == 1 {
		t, err := o.target(cmd, args, false)
		if err == nil && t.Wait == 0 {
			return nil, fmt.Errorf("profile %s does not say what to connect to: write its port, such as wait = 22", t.Name)
		}
		return t, err
	}
	port, err := knock.ParsePort(args[1])
	if err != nil {
		return nil, err
	}
	if port.Proto != knock.TCP {
		return nil, fmt.Errorf("%v is UDP: a stream needs a TCP port", port)
	}
	t, err := o.target(cmd, append(args[:1:1], args[2:]...), false)
	if err != nil {
		return nil, err
	}
	if !cmd.Flags().Changed("wait") {
		t.Wait = port.Number
	}
	return t, nil
}
