// SPDX-License-Identifier: Apache-2.0

package routing

import (
	"strings"
)

// target is the target of a request as nginx takes it apart.
type target struct {
	// raw is path and query as sent.
	raw string
	// path is what locations are compared with: decoded, without query, with slashes
	// merged and dots resolved. It is a string of bytes.
	path string
	// query is what follows the question mark, with it; empty if there is none.
	query string
}

// parseTarget takes the target of a request apart, as nginx does with merge_slashes
// on. It is false where nginx answers 400.
func parseTarget(raw string) (target, bool) {
	if !strings.HasPrefix(raw, "/") {
		return target{}, false
	}
	t := target{raw: raw}
	path := raw
	if i := strings.IndexByte(path, '#'); i >= 0 {
		path = path[:i]
	}
	if i := strings.IndexByte(path, '?'); i >= 0 {
		path, t.query = path[:i], path[i:]
	}
	if strings.ContainsAny(raw, " \x00\r\n") {
		return target{}, false
	}
	decoded, ok := decodePercent(path)
	if !ok {
		return target{}, false
	}
	t.path, ok = resolveDots(decoded)
	return t, ok
}

func decodePercent(path string) (string, bool) {
	if !strings.Contains(path, "%") {
		return path, true
	}
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] != '%' {
			b.WriteByte(path[i])
			continue
		}
		if i+2 >= len(path) {
			return "", false
		}
		high, highOK := hexDigit(path[i+1])
		low, lowOK := hexDigit(path[i+2])
		if !highOK || !lowOK || high+low == 0 {
			return "", false
		}
		b.WriteByte(byte(high<<4 | low))
		i += 2
	}
	return b.String(), true
}

// resolveDots merges slashes and resolves "." and "..". It is false where ".." leads
// above the root.
func resolveDots(path string) (string, bool) {
	if !strings.Contains(path, "//") && !strings.Contains(path, "/.") {
		return path, true
	}
	var kept []string
	segments := strings.Split(path[1:], "/")
	for i, segment := range segments {
		last := i == len(segments)-1
		switch {
		case segment == "" && !last:
		case segment == ".":
			if last {
				kept = append(kept, "")
			}
		case segment == "..":
			if len(kept) == 0 {
				return "", false
			}
			kept = kept[:len(kept)-1]
			if last {
				kept = append(kept, "")
			}
		default:
			kept = append(kept, segment)
		}
	}
	return "/" + strings.Join(kept, "/"), true
}

// hostOf is the host that nginx compares: without port and a dot at the end, in
// lower case. It is false where nginx answers 400.
func hostOf(header string) (string, bool) {
	host := header
	if strings.HasPrefix(host, "[") {
		end := strings.IndexByte(host, ']')
		if end < 0 {
			return "", false
		}
		host = host[:end+1]
	} else if i := strings.IndexByte(host, ':'); i >= 0 {
		host = host[:i]
	}
	host = strings.TrimSuffix(host, ".")
	if host == "" || strings.Contains(host, "..") || strings.ContainsAny(host, "/\\ \x00") || strings.HasPrefix(host, ".") {
		return "", false
	}
	return strings.ToLower(host), true
}
