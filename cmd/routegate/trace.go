// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/routegate/routegate/internal/report"
	"github.com/routegate/routegate/routing"
)

// errDiffers ends a command whose comparison found a difference, which it has shown.
var errDiffers = errors.New("the answer differs from what was foretold")

type traceOptions struct {
	source  *sourceOptions
	method  string
	headers []string
	sni     string
	client  string
	output  string
	against string
	pods    bool
}

func traceCommand(source *sourceOptions) *cobra.Command {
	o := &traceOptions{source: source}
	cmd := &cobra.Command{
		Use:   "trace URL",
		Short: "Say what ingress-nginx answers to a request, and why",
		Long: `Say what ingress-nginx answers to a request for the URL, and why: the certificate,
the host, the path and what it beat, the annotations that count, the backend with
its endpoints. Nothing is sent anywhere unless --against says so.

` + sourceHelp + `

Exit codes:
  0  the question was answered, whatever the answer is
  1  with --against: the real answer differs
  2  the question could not be answered: bad input, no access, or a host that no
     Ingress has; then the answer of the default server is shown all the same`,
		Example: `  # Who answers, in the cluster of the current context?
  routegate trace https://shop.example.com/cart

  # The same for manifests that were not applied yet
  kustomize build overlays/prod | routegate trace https://shop.example.com/cart -f -

  # A request with a header, from an address
  routegate trace http://shop.example.com/ --header 'X-Canary: always' --client 198.51.100.7

  # Send it for real as well, and compare
  routegate trace https://shop.example.com/cart --against 203.0.113.10:443`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd, args[0])
		},
	}
	source.addFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&o.method, "method", http.MethodGet, "method of the request")
	f.StringArrayVar(&o.headers, "header", nil, `header of the request, as "Name: value"; may be given several times`)
	f.StringVar(&o.sni, "sni", "", "server name of the TLS handshake, where it is not the host of the URL")
	f.StringVar(&o.client, "client", "", "address of the client, for lists of addresses")
	f.StringVarP(&o.output, "output", "o", "", "format: json or yaml instead of text")
	f.StringVar(&o.against, "against", "", "address, as host:port, to send the request to as well, to compare the answers")
	f.BoolVar(&o.pods, "read-pods", false, "read Pods where the Service has no ready endpoints, to say why")
	completeWith(cmd, "method", http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions)
	completeWith(cmd, "output", report.JSON, report.YAML)
	for _, flag := range []string{"header", "sni", "client", "against"} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.NoFileCompletions)
	}
	return cmd
}

func completeWith(cmd *cobra.Command, flag string, values ...string) {
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

func (o *traceOptions) run(cmd *cobra.Command, rawURL string) error {
	if o.output != "" && o.output != report.JSON && o.output != report.YAML {
		return fmt.Errorf("--output %q: must be json or yaml", o.output)
	}
	target, err := parseURL(rawURL)
	if err != nil {
		return err
	}
	request, err := o.request(target)
	if err != nil {
		return err
	}
	if o.against != "" {
		if _, _, err := net.SplitHostPort(o.against); err != nil {
			return fmt.Errorf("--against %q: must be host:port", o.against)
		}
	}
	w, err := o.source.load(cmd.Context(), cmd.InOrStdin(), cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	in, err := o.source.one(w)
	if err != nil {
		return err
	}
	if o.pods {
		if err := w.readPods(cmd.Context(), in.Table.Match(request)); err != nil {
			_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "Pods were not read: %v\n", err)
		}
	}
	trace := report.NewTrace(rawURL, request, in, w.snap, w.ingresses)
	if o.against != "" {
		if err := send(cmd.Context(), o.against, request, trace); err != nil {
			return fmt.Errorf("--against %s: %w", o.against, err)
		}
	}
	if err := o.write(cmd.OutOrStdout(), trace); err != nil {
		return err
	}
	switch {
	case trace.Against != nil && len(trace.Against.Differences) > 0:
		return errDiffers
	case trace.UnknownHost && trace.NearestHost != "":
		return fmt.Errorf("no Ingress has the host %q, so the default server answers; did you mean %q?", target.Hostname(), trace.NearestHost)
	case trace.UnknownHost:
		return fmt.Errorf("no Ingress has the host %q, so the default server answers", target.Hostname())
	}
	return nil
}

func (o *traceOptions) write(w io.Writer, trace *report.Trace) error {
	if o.output != "" {
		return report.Write(w, o.output, trace)
	}
	return trace.WriteTree(w, printers.AllowsColorOutput(w))
}

// parseURL accepts what names one request without doubt.
func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		var cause *url.Error
		if errors.As(err, &cause) {
			err = cause.Err
		}
		return nil, fmt.Errorf("URL %q: %w", raw, err)
	}
	switch {
	case !strings.Contains(raw, "://"):
		return nil, fmt.Errorf("URL %q: has no scheme; must begin with http:// or https://", raw)
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("URL %q: scheme %q is not known; must be http or https", raw, u.Scheme)
	case u.Hostname() == "":
		return nil, fmt.Errorf("URL %q: has no host", raw)
	case u.User != nil:
		return nil, fmt.Errorf("URL %q: must not hold a user; give the credentials with --header 'Authorization: …'", u.Redacted())
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return nil, fmt.Errorf("URL %q: port %s must be 1 to 65535", raw, port)
		}
	}
	return u, nil
}

// request is what a client would send for the URL.
func (o *traceOptions) request(u *url.URL) (routing.Request, error) {
	r := routing.Request{
		Method:  o.method,
		HTTPS:   u.Scheme == "https",
		Host:    u.Host,
		SNI:     o.sni,
		Path:    u.EscapedPath(),
		Headers: map[string]string{},
	}
	if !isToken(o.method) {
		return r, fmt.Errorf("--method %q: is not a method", o.method)
	}
	if o.sni != "" && !r.HTTPS {
		return r, errors.New("--sni needs a URL with https")
	}
	if r.HTTPS && r.SNI == "" {
		r.SNI = u.Hostname()
	}
	if r.Path == "" {
		r.Path = "/"
	}
	if u.RawQuery != "" || u.ForceQuery {
		r.Path += "?" + u.RawQuery
	}
	for _, header := range o.headers {
		name, value, ok := strings.Cut(header, ":")
		value = strings.TrimSpace(value)
		if !ok || !isToken(name) || strings.ContainsAny(value, "\r\n\x00") {
			return r, fmt.Errorf(`--header %q: must be "Name: value"`, header)
		}
		if strings.EqualFold(name, "Host") {
			r.Host = value
			continue
		}
		if _, twice := r.Headers[http.CanonicalHeaderKey(name)]; twice {
			return r, fmt.Errorf("--header %q: was given before", name)
		}
		r.Headers[http.CanonicalHeaderKey(name)] = value
	}
	if o.client != "" {
		address, err := netip.ParseAddr(o.client)
		if err != nil {
			return r, fmt.Errorf("--client %q: must be an IP address", o.client)
		}
		r.Client = address
	}
	return r, nil
}

// isToken reports whether HTTP allows the text as a method or the name of a header.
func isToken(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || slices.Contains([]rune(`"(),/:;<=>?@[\]{}`), r)
	})
}
