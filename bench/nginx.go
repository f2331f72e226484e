package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// sideNginx answers a liveness request by itself, in C, and writes one line of log for it: what a server that
// does nothing else costs on this machine. No goal for processor time can lie below it.
const sideNginx = "nginx"

// findNginx gives the path of the program, "" if there is none. Debian has it in a folder that only root searches.
func findNginx() string {
	for _, candidate := range []string{"nginx", "/usr/sbin/nginx"} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	return ""
}

// nginxConfig takes the address of the inherited socket, the path that is asked for, and the answer.
const nginxConfig = `daemon off;
pid nginx.pid;
worker_processes auto;
error_log stderr;
events { worker_connections 4096; }
http {
	access_log nginx-access.log;
	keepalive_requests 1000000000;
	client_body_temp_path nginx-body;
	proxy_temp_path nginx-proxy;
	fastcgi_temp_path nginx-fastcgi;
	uwsgi_temp_path nginx-uwsgi;
	scgi_temp_path nginx-scgi;
	server {
		listen %s;
		location = %s {
			default_type application/json;
			return 200 '%s';
		}
	}
}
`

// serveNginx starts nginx on a socket of ours.
func serveNginx(ctx context.Context, dir, name string) (*server, error) {
	s, err := newServer(ctx, dir, name)
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, name+".conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, nginxConfig, s.address, livenessPath, plainAnswer), 0o600); err != nil {
		return nil, err
	}
	// nginx's own way of handing a socket to the next generation of the program.
	return s, s.spawn([]string{"NGINX=3;"}, findNginx(), "-p", dir, "-e", "stderr", "-c", config)
}
