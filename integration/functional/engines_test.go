package functional

import (
	"os/exec"
	"path/filepath"
	"testing"

	"nftknock/integration/lab"
)

// An engine runs containers, and publishes their ports.
type engine struct {
	programs []string // without these the test is skipped
	// start starts it, with files of its own, and returns how it is told something, and what has it
	// make all of its rules anew.
	start func(t *testing.T, s *lab.Topology) (tell func(args ...string), anew func())
	run   []string // more arguments of its command "run"
}

// TestContainerEngines guards a port that a container engine publishes, whatever becomes of the
// container and the engine's rules.
func TestContainerEngines(t *testing.T) {
	engines := map[string]engine{
		"docker": {programs: []string{"dockerd", "docker"}, start: startDocker},
		"podman": {
			programs: []string{"podman", "netavark", "conmon", "runc"}, start: startPodman,
			// Its defaults are more than a container that runs the tests may have.
			run: []string{"--ulimit", "nofile=1000:1000", "--ulimit", "nproc=1000:1000", "--network", "both"},
		},
	}
	const config = `
[door.web]
ports        = [8080]
sequence     = [7214, 8391, 6127]
open_timeout = "1h"
`
	for name, e := range engines {
		t.Run(name, func(t *testing.T) {
			lab.EachFamily(t, func(t *testing.T, f lab.Family) {
				for _, program := range append(e.programs, "busybox") {
					if !installed(program) {
						t.Skip(program + " is not installed")
					}
				}
				s := lab.NewTopology(t, f)
				tell, anew := e.start(t, s)
				image := filepath.Join(t.TempDir(), "image.tar")
				s.Server.Run(t, "tar", "--create", "--file", image, "--directory=/bin", "busybox")
				tell("import", image, "busybox:test")
				command := append([]string{"run", "--detach", "--name", "web", "--restart", "always", "--stop-timeout", "0", "--publish", "8080:80"}, e.run...)
				tell(append(command, "busybox:test", "/busybox", "httpd", "-f", "-p", "80")...)
				t.Cleanup(func() { tell("rm", "--force", "web") }) // its cgroups are everybody's
				s.ExpectOpen(t, s.Stranger, "8080")

				d := lab.StartDaemon(t, s.Server, config)
				s.ExpectShut(t, s.Source, "8080", lab.Silent)
				s.Knock(t, s.Source, lab.SSHSequence...)
				s.WaitIn(t, "web", s.Source)
				restart := func() { tell("restart", "--time", "0", "web") }
				flush := func() {
					s.Server.Run(t, "nft", "flush", "ruleset")
					s.ExpectShut(t, s.Stranger, "8080", lab.Silent)
					anew()
				}
				for _, happens := range []func(){func() {}, restart, func() { d.Tell(t, "reload") }, anew, flush} {
					happens()
					s.ExpectOpen(t, s.Source, "8080")
					s.ExpectShut(t, s.Stranger, "8080", lab.Silent)
				}
			})
		})
	}
}

// installed looks where conmon and netavark are, too.
func installed(program string) bool {
	for _, dir := range []string{"", "/usr/lib/podman/"} {
		if _, err := exec.LookPath(dir + program); err == nil {
			return true
		}
	}
	return false
}

func startDocker(t *testing.T, s *lab.Topology) (func(...string), func()) {
	dir := t.TempDir()
	socket := "unix://" + filepath.Join(dir, "socket")
	place := startInside(t, s, `while :; do
	dockerd --data-root "$0/data" --exec-root "$0/run" --pidfile "$0/pid" --host "$1" --storage-driver vfs --log-level error
done`, dir, socket)
	docker := func(args ...string) []string { return place(append([]string{"docker", "--host", socket}, args...)...) }
	lab.Eventually(t, "dockerd answers", func() bool {
		args := docker("version")
		return s.Server.Try(t, args[0], args[1:]...).Err == nil
	})
	tell := func(args ...string) { t.Helper(); run(t, s.Server, docker(args...)) }
	return tell, func() {
		run(t, s.Server, place("env", "DOCKER_HOST="+socket, "bash", "-c", `
			state() { docker inspect --format '{{.State.Running}} {{.State.StartedAt}}' web 2>/dev/null; }
			before=$(state)
			pkill dockerd # which is started again
			until now=$(state) && [[ $now == true* && $now != "$before" ]]; do sleep 0.05; done`))
	}
}

func startPodman(t *testing.T, s *lab.Topology) (func(...string), func()) {
	dir := t.TempDir()
	place := startInside(t, s, "mount -t tmpfs none /run && sleep infinity")
	tell := func(args ...string) {
		t.Helper()
		podman := []string{"podman", "--root", dir + "/data", "--runroot", "/run/p", "--tmpdir", "/run/t", "--network-config-dir", dir + "/networks",
			"--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "file", "--runtime", "runc"}
		run(t, s.Server, place(append(podman, args...)...))
	}
	tell("network", "create", "--ipv6", "both")
	return tell, func() { tell("network", "reload", "web") }
}
