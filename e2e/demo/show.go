// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/cert"

	"github.com/routegate/routegate/e2e/stack"
)

// stepTime bounds one command and the wait before it.
const stepTime = time.Minute

// step is one kubectl command and what its answer must be.
type step struct {
	// about says what the step shows.
	about string
	// args are the command's arguments.
	args []string
	// fails is true when kubectl must exit with 1 instead of 0.
	fails bool
	// has and lacks are words that the output must and must not have.
	has, lacks []string
	// awaits is a namespace; the step begins when the API server asks routegate
	// about it.
	awaits string
}

// silent are words that the output of an answer without remarks lacks.
var silent = []string{"Warning", "routegate"}

// script is what the demo shows, in order.
func script(f folder) []step {
	manifest := func(name string) string { return path.Join("e2e/demo/manifests", name) }
	apply := func(name string, more ...string) []string {
		return append([]string{"apply", "-f", manifest(name)}, more...)
	}
	return []step{
		{
			about: "The cluster: a namespace, an IngressClass, the Service web with an endpoint and the Service idle without",
			args:  apply("cluster.yaml"), has: []string{"service/web created", "service/idle created"}, lacks: silent,
		}, {
			about: "A certificate for shop.example.com with its key",
			args:  []string{"-n", "shop", "create", "secret", "tls", "shop-tls", "--cert=" + f.path("shop.crt"), "--key=" + f.path("shop.key")},
			has:   []string{"secret/shop-tls created"}, lacks: silent,
		}, {
			about: "An Ingress whose class, Service, port, endpoint and TLS Secret are all there: accepted, without a word",
			args:  apply("good.yaml"), has: []string{"ingress.networking.k8s.io/shop created"}, lacks: silent,
		}, {
			about: "The Service does not exist: denied",
			args:  apply("missing-service.yaml"), fails: true,
			has: []string{`Service "wbe" does not exist in namespace "shop"; did you mean "web"?`, "(service-missing)", "requests get 503"},
		}, {
			about: "The Service has no such port: denied",
			args:  apply("wrong-port.yaml"), fails: true,
			has: []string{`Service "web" has no port 8008; must be one of 8080, 9000; did you mean 8080?`, "(port-missing)"},
		}, {
			about: "The IngressClass does not exist: denied",
			args:  apply("missing-class.yaml"), fails: true,
			has: []string{`IngressClass "ngnix" does not exist; did you mean "nginx"?`, "(class-object-missing)"},
		}, {
			about: "A Secret with the certificate of one pair and the key of another: the API server itself only warns",
			args: []string{"-n", "shop", "create", "secret", "generic", "pay-tls", "--type=kubernetes.io/tls",
				"--from-file=tls.crt=" + f.path("pay.crt"), "--from-file=tls.key=" + f.path("shop.key")},
			has: []string{"secret/pay-tls created"},
		}, {
			about: "An Ingress that would serve this Secret: denied",
			args:  apply("broken-secret.yaml"), fails: true,
			has: []string{`Secret "pay-tls" has a key in tls.key that does not belong to the first certificate of tls.crt`, "(tls-secret-unusable)"},
		}, {
			about: "A TLS Secret that does not exist may come later: warned",
			args:  apply("missing-secret.yaml"),
			has:   []string{"Warning:", `Secret "news-tls" does not exist`, "(tls-secret-missing)", "ingress.networking.k8s.io/news created"},
		}, {
			about: "So may the endpoints of a Service: warned",
			args:  apply("no-endpoints.yaml"),
			has:   []string{"Warning:", `Service "idle" has no endpoints`, "(no-endpoints-at-all)", "ingress.networking.k8s.io/search created"},
		}, {
			about: "A server-side dry run of the Ingress without its Service: warned, as a whole set is dry-run before any of it exists",
			args:  apply("missing-service.yaml", "--dry-run=server"),
			has: []string{"Warning:", "(service-missing)", "[dry run: a real write would be denied]",
				"ingress.networking.k8s.io/orders created (server dry run)"},
		}, {
			about: "A namespace that has opted out by its label",
			args:  apply("legacy-namespace.yaml"), has: []string{"namespace/legacy created"}, lacks: silent,
		}, {
			about: "There an Ingress with two faults is not looked at",
			args:  apply("legacy.yaml"), has: []string{"ingress.networking.k8s.io/legacy created"}, lacks: silent,
		}, {
			about: "The namespace opts in again, with the faulty Ingress in it: a warning says what is wrong there",
			args:  []string{"label", "namespace", "legacy", stack.OptOutLabel + "-"}, has: []string{
				"Warning: with these labels, of 1 Ingress 1 would be denied if created now", "namespace/legacy unlabeled",
			},
		}, {
			about: "An edit that leaves both faults as they were: only warned, so that nobody is locked out of what is there",
			args:  apply("legacy-edited.yaml"), awaits: "legacy",
			has: []string{"Warning:", "(service-missing)", "(port-missing)", "[not denied: the Ingress had this before]",
				"ingress.networking.k8s.io/legacy configured"},
		}, {
			about: "An edit that adds a fault: denied for the new one, warned of the old ones",
			args:  []string{"replace", "-f", manifest("legacy-worse.yaml")}, fails: true,
			has: []string{"Warning:", "[not denied: the Ingress had this before]", `Service "not-yet" does not exist`, "spec.rules[0].http.paths[2]"},
		},
	}
}

// show runs the script and returns an error that names each step with another
// answer than expected.
func show(ctx context.Context, f folder, t target) error {
	if err := writeCertificates(f); err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", t.Kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	version, err := client.ServerVersion()
	if err != nil {
		return err
	}
	fmt.Printf("Ready: kube-apiserver %s asks routegate about every Ingress.\n\n", version.GitVersion)

	var differed []error
	steps := script(f)
	for i, s := range steps {
		if err := t.run(ctx, f, config, client, s); err != nil {
			if ctx.Err() != nil {
				return err
			}
			err = fmt.Errorf("step %d (%s): %w", i+1, s.about, err)
			fmt.Printf("!! %v\n\n", err)
			differed = append(differed, err)
		}
	}
	if len(differed) > 0 {
		return fmt.Errorf("%d of %d steps differed; routegate's log is %s\n%w", len(differed), len(steps), t.Log, errors.Join(differed...))
	}
	fmt.Printf("All %d answers were as expected.\n\n", len(steps))
	return nil
}

// writeCertificates makes pairs for shop.example.com and pay.example.com.
func writeCertificates(f folder) error {
	for _, name := range []string{"shop", "pay"} {
		crt, key, err := cert.GenerateSelfSignedCertKey(name+".example.com", nil, nil)
		if err != nil {
			return err
		}
		if err := os.WriteFile(f.path(name+".crt"), crt, 0o644); err != nil {
			return err
		}
		if err := os.WriteFile(f.path(name+".key"), key, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// run runs one step, prints it as a terminal would show it, and returns how it
// differed.
func (t target) run(ctx context.Context, f folder, config *rest.Config, client kubernetes.Interface, s step) error {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	// Warnings come from the cache, which follows the API server by milliseconds.
	if err := stack.CatchUp(ctx, client, t.MetricsURL); err != nil {
		return err
	}
	if s.awaits != "" {
		if err := stack.Wait(ctx, config, s.awaits); err != nil {
			return err
		}
	}
	fmt.Printf("# %s\n$ kubectl %s\n", s.about, strings.Join(s.args, " "))
	cmd := exec.CommandContext(ctx, t.Kubectl, s.args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+t.Kubeconfig, "KUBECACHEDIR="+f.path("cache"), "KUBERC=off")
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err := cmd.Run()
	text := output.String()
	fmt.Println(text)

	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return err
	}
	want := 0
	if s.fails {
		want = 1
	}
	var errs []error
	if code := cmd.ProcessState.ExitCode(); code != want {
		errs = append(errs, fmt.Errorf("kubectl exited with %d, want %d", code, want))
	}
	for _, words := range s.has {
		if !strings.Contains(text, words) {
			errs = append(errs, fmt.Errorf("the output must have %q", words))
		}
	}
	for _, words := range s.lacks {
		if strings.Contains(text, words) {
			errs = append(errs, fmt.Errorf("the output must not have %q", words))
		}
	}
	return errors.Join(errs...)
}
