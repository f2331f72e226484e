package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fairagro/middleware-api/internal/testenv"
)

// generate runs the generator on a file of defaults and gives what it wrote,
// by the path below its folder.
func generate(tb testing.TB, defaults string) map[string]string {
	tb.Helper()
	dir := tb.TempDir()
	conf := filepath.Join(dir, "defaults")
	if err := os.WriteFile(conf, []byte(defaults), 0o600); err != nil {
		tb.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	cmd := exec.Command(filepath.Join(testenv.ModuleRoot(tb), "packaging/systemd/middleware-api-generator"), out, out, out)
	cmd.Env = append(os.Environ(), "MIDDLEWARE_API_DEFAULTS="+conf)
	if text, err := cmd.CombinedOutput(); err != nil || len(text) > 0 {
		tb.Fatalf("generator with %q: %v\n%s", defaults, err, text)
	}
	files := map[string]string{}
	paths, err := filepath.Glob(filepath.Join(out, "*", "*"))
	if err != nil {
		tb.Fatal(err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			tb.Fatal(err)
		}
		name, err := filepath.Rel(out, path)
		if err != nil {
			tb.Fatal(err)
		}
		files[name] = string(data)
	}
	return files
}

const (
	poolDropIn   = "middleware-api.service.d/50-workers.conf"
	socketDropIn = "middleware-api.socket.d/50-listen.conf"
)

// The number of workers is what the file says, by the new or the old name, and
// the automatic one with a word about it when it is nonsense.
func TestGeneratorCountsWorkers(t *testing.T) {
	t.Parallel()
	nproc, err := exec.Command("nproc").Output()
	if err != nil {
		t.Fatal(err)
	}
	var auto int
	if _, err := fmt.Sscan(string(nproc), &auto); err != nil {
		t.Fatal(err)
	}
	auto = 2*auto + 1
	for _, c := range []struct {
		defaults string
		workers  int
		problem  string
	}{
		{"", auto, ""},
		{"#MIDDLEWARE_API_WORKERS=7\n", auto, ""},
		{"MIDDLEWARE_API_WORKERS=3\n", 3, ""},
		{"MIDDLEWARE_API_WORKERS=3\nMIDDLEWARE_API_WORKERS=\"4\"  \n", 4, ""},
		{"GUNICORN_WORKERS='6'\n", 6, ""},
		{"GUNICORN_WORKERS=6\nMIDDLEWARE_API_WORKERS=2\n", 2, ""},
		{"MIDDLEWARE_API_WORKERS=0\nGUNICORN_WORKERS=6\n", auto, ""},
		{"MIDDLEWARE_API_WORKERS=007\n", 7, ""},
		{"MIDDLEWARE_API_WORKERS=65\n", 64, "65 workers are too many"},
		{"MIDDLEWARE_API_WORKERS=1000000000000000000000\n", auto, "is not a number"},
		{"MIDDLEWARE_API_WORKERS=-1\n", auto, "is not a number"},
		{"MIDDLEWARE_API_WORKERS=2.5\n", auto, "is not a number"},
		{"GUNICORN_WORKERS=$(touch /tmp/never)\n", auto, "is not a number"},
	} {
		files := generate(t, c.defaults)
		text := files[poolDropIn]
		if n := strings.Count(text, "PropagatesStopTo=middleware-api@"); n != c.workers {
			t.Errorf("%q gives %d workers, want %d", c.defaults, n, c.workers)
		}
		order := 0
		for path, text := range files {
			if strings.HasSuffix(path, "50-order.conf") && text == "[Unit]\nAfter=middleware-api@1.service\n" {
				order++
			}
		}
		if order != c.workers-1 || files["middleware-api@1.service.d/50-order.conf"] != "" {
			t.Errorf("%q orders %d workers after the first, want %d", c.defaults, order, c.workers-1)
		}
		if strings.Contains(text, "# problem: ") != (c.problem != "") || !strings.Contains(text, c.problem) {
			t.Errorf("%q: %s\nwant problem %q", c.defaults, text, c.problem)
		}
	}
}

// The socket goes where the file says, and stays where it is when the file
// makes no sense.
func TestGeneratorMovesSocket(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		defaults string
		listen   string // blank separated; empty keeps the address
		problem  bool
	}{
		{"", "", false},
		{"UVICORN_PORT=8080\n", "127.0.0.1:8080", false},
		{"UVICORN_HOST=0.0.0.0\n", "0.0.0.0:8000", false},
		{"UVICORN_HOST=localhost\nUVICORN_PORT=9\n", "127.0.0.1:9", false},
		{"UVICORN_HOST=::\nUVICORN_PORT=8080\n", "[::]:8080", false},
		{"UVICORN_HOST=[::1]\n", "[::1]:8000", false},
		{"UVICORN_HOST=api.example.org\n", "", true},
		{"UVICORN_PORT=http\n", "", true},
		{"UVICORN_PORT=70000\n", "", true},
		{"UVICORN_PORT=0\n", "", true},
		{`MIDDLEWARE_API_LISTEN="127.0.0.1:1 [::1]:2, /run/x.sock unix:/run/y.sock"`, "127.0.0.1:1 [::1]:2 /run/x.sock /run/y.sock", false},
		{"MIDDLEWARE_API_LISTEN=127.0.0.1:1\nUVICORN_PORT=2\n", "127.0.0.1:1", false},
		{"MIDDLEWARE_API_LISTEN='127.0.0.1:1 nowhere'\n", "127.0.0.1:1", true},
	} {
		files := generate(t, c.defaults)
		want := ""
		if c.listen != "" {
			want = "[Socket]\nListenStream=\nListenStream=" + strings.ReplaceAll(c.listen, " ", "\nListenStream=") + "\n"
		}
		if got := files[socketDropIn]; got != want {
			t.Errorf("%q gives\n%s\nwant\n%s", c.defaults, got, want)
		}
		if problem := strings.Contains(files[poolDropIn], "# problem: "); problem != c.problem {
			t.Errorf("%q: problem %t, want %t\n%s", c.defaults, problem, c.problem, files[poolDropIn])
		}
	}
}

// Workers reach what the file names and nothing else.
func TestGeneratorLetsWorkersReach(t *testing.T) {
	t.Parallel()
	const worker, migrate = "middleware-api@.service.d/50-reach.conf", "middleware-api-migrate.service.d/50-reach.conf"
	for defaults, want := range map[string]string{
		"": "",
		"MIDDLEWARE_API_REACH=\"192.0.2.7, 2001:db8::/32\"\n": "[Service]\nRestrictAddressFamilies=AF_INET AF_INET6\nIPAddressAllow=192.0.2.7  2001:db8::/32\n",
		"MIDDLEWARE_API_REACH=any\n":                          "[Service]\nRestrictAddressFamilies=AF_INET AF_INET6\nIPAddressDeny=\n",
	} {
		files := generate(t, defaults)
		if files[worker] != want || files[migrate] != want {
			t.Errorf("%q gives %q and %q, want %q", defaults, files[worker], files[migrate], want)
		}
	}
}
