//go:build tools

// Package coredns pins the DNS server of a cluster; in a module of its own, since it wants other versions than Kubernetes.
package coredns

import _ "github.com/coredns/coredns"
