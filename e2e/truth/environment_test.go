// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/routegate/routegate/routing"
)

// fakeObjects are the entry "auth" of Secrets, and Services that are ExternalNames.
type fakeObjects struct {
	files     map[routing.Key]string
	externals []routing.Key
}

func (o fakeObjects) readSecret(key routing.Key, entry string) []byte {
	if entry != "auth" {
		return nil
	}
	return []byte(o.files[key])
}

func (o fakeObjects) external(key routing.Key) bool { return slices.Contains(o.externals, key) }

// routeTo is a Route of an Ingress with these annotations, whose prefix is left
// out, to endpoints of the Service app/web.
func routeTo(annotations map[string]string, endpoints ...string) *routing.Route {
	ing := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: "app", Name: "web", Annotations: map[string]string{}}}
	route := &routing.Route{Status: 200, Path: "/", At: &routing.Location{Ingress: ing}}
	for name, value := range annotations {
		ing.Annotations[routing.NginxPrefix+name] = value
		if name == "auth-url" {
			route.Steps = append(route.Steps, routing.Step{What: routing.StepAnnotation, Text: "auth-url must let it in"})
		}
	}
	route.Targets = []routing.Target{target(100, endpoints...)}
	return route
}

func target(percent int, endpoints ...string) routing.Target {
	return routing.Target{Upstream: &routing.Upstream{Namespace: "app", Service: "web"}, Percent: percent, Endpoints: endpoints}
}

func outlook(f forecast) string {
	var words []string
	for _, a := range f.answers {
		words = append(words, a.String())
	}
	text := strings.Join(words, " or ")
	if f.undecided != "" {
		text += "?"
	}
	return text
}

func TestBackends(t *testing.T) {
	for endpoint, want := range map[string]map[string]string{
		"10.99.0.1:8080":    {"": "200 b1:8080", "HTTPS": "502", "GRPC": "502", "GRPCS": "502", "FCGI": "502", "auto_http": "200 b1:8080", "AJP": "200 b1:8080"},
		"10.99.0.2:8081":    {"": "200 b2:8081"},
		"10.99.0.3:8443":    {"": "400", "HTTPS": "200 b3:8443", "https": "200 b3:8443", "GRPC": "502", "GRPCS": "200 b3:8443?"},
		"10.99.0.4:9090":    {"": "200 b4:9090?", "HTTPS": "502", "GRPC": "200 b4:9090", "grpc": "200 b4:9090"},
		"10.99.0.7:80":      {"": "200 b7:80"},
		"10.99.0.6:80":      {"": "502"},
		"[fd00:99::1]:8080": {"": "200 b1v6:8080"},
		"10.97.0.101:80":    {"": "200 vip1:80"},
		"10.97.0.101:9999":  {"": "502"},
		"10.97.0.102:80":    {"": "502"},
		"10.99.0.99:8080":   {"": "502"},
		"192.0.2.1:80":      {"": "502?"},
		// The name of an EndpointSlice.
		"ext.example.test:8080": {"": "502"},
	} {
		for protocol, want := range want {
			route := routeTo(map[string]string{"backend-protocol": protocol}, endpoint)
			got := outlook(recordingMachine().forecast(request{Scheme: "http"}, route, fakeObjects{}))
			if got != want {
				t.Errorf("%s onto %s: got %q, want %q", protocol, endpoint, got, want)
			}
		}
	}
	for endpoint, want := range map[string]string{
		"ext.example.test:8080":  "200 b7:8080",
		"ext.example.test.:8080": "200 b7:8080",
		"ext.example.test:0":     "502",
		"gone.example.test:80":   "503",
	} {
		from := fakeObjects{externals: []routing.Key{{Namespace: "app", Name: "web"}}}
		if got := outlook(recordingMachine().forecast(request{Scheme: "http"}, routeTo(nil, endpoint), from)); got != want {
			t.Errorf("ExternalName %s: got %q, want %q", endpoint, got, want)
		}
	}
}

func TestForecast(t *testing.T) {
	const b1, b2, dead = "10.99.0.1:8080", "10.99.0.2:8080", "10.99.0.99:8080"
	shared := func(first, second int) *routing.Route {
		route := routeTo(nil)
		route.Targets = []routing.Target{target(first, b1), target(second, b2)}
		return route
	}
	asking := func(path string) *routing.Route {
		route := routeTo(nil, b1)
		route.Path = path
		return route
	}
	for name, test := range map[string]struct {
		request request
		route   *routing.Route
		want    string
	}{
		"the controller":            {request{}, &routing.Route{Status: 404}, "404"},
		"a redirect":                {request{}, &routing.Route{Status: 308, Location: "https://a.example"}, "308 to https://a.example"},
		"not decided":               {request{}, &routing.Route{Status: 404, Undecided: "too long"}, "404?"},
		"no endpoints":              {request{}, routeTo(nil), "503"},
		"two endpoints":             {request{}, routeTo(nil, b1, b2), "200 b1:8080 or 200 b2:8080"},
		"one is dead":               {request{}, routeTo(nil, dead, b2), "200 b2:8080"},
		"more are dead than tries":  {request{}, routeTo(nil, dead, b2, dead, dead), "200 b2:8080 or 502"},
		"a share for each":          {request{}, shared(40, 60), "200 b1:8080 or 200 b2:8080"},
		"all for the second":        {request{}, shared(0, 100), "200 b2:8080"},
		"a bad rewrite":             {request{}, asking("x"), "400"},
		"one request with a limit":  {request{}, routeTo(map[string]string{"limit-rps": "1"}, b1), "200 b1:8080"},
		"requests beyond a limit":   {request{Repeat: 20}, routeTo(map[string]string{"limit-rps": "1"}, b1), "200 b1:8080 or 503"},
		"requests without a limit":  {request{Repeat: 20}, routeTo(nil, b1), "200 b1:8080"},
		"a certificate not read":    {request{Scheme: "https"}, &routing.Route{Status: 404, Certificate: routing.Certificate{Kind: routing.UnreadCertificate}}, "404?"},
		"nor asked for":             {request{Scheme: "http"}, &routing.Route{Status: 404, Certificate: routing.Certificate{Kind: routing.UnreadCertificate}}, "404"},
		"no Ingress to the backend": {request{}, &routing.Route{Status: 200, Targets: []routing.Target{target(100, b1)}}, "200 b1:8080"},
	} {
		if got := outlook(recordingMachine().forecast(test.request, test.route, fakeObjects{})); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

func TestAuthentication(t *testing.T) {
	const ok = "http://auth.example.test:8080/ok"
	const deny = "http://auth.example.test:8080/auth-deny"
	files := fakeObjects{files: map[routing.Key]string{
		{Namespace: "app", Name: "plain"}:   "foo:{PLAIN}bar\n",
		{Namespace: "other", Name: "sha"}:   "foo:{SHA}Ys23Ag/5IOWqZCw9QGaVDdHwH00=\n",
		{Namespace: "app", Name: "apr1"}:    "x:y\nfoo:$apr1$OFG3Xybp$ckL0FHDAkoXYIlH9.cysT0\n",
		{Namespace: "app", Name: "unknown"}: "foo:$6$salt$hash\n",
	}}
	right := map[string]string{"authorization": "Basic Zm9vOmJhcg=="} // foo:bar
	wrong := map[string]string{"Authorization": "Basic Zm9vOmJheg=="} // foo:baz
	basic := func(secret string) map[string]string {
		return map[string]string{"auth-type": "basic", "auth-secret": secret}
	}
	for name, test := range map[string]struct {
		annotations, headers map[string]string
		undecided            string
		want                 string
	}{
		"let in":                 {map[string]string{"auth-url": ok}, nil, "", "200 b1:8080"},
		"denied":                 {map[string]string{"auth-url": deny}, nil, "", "401"},
		"denied, sign in":        {map[string]string{"auth-url": deny, "auth-signin": "https://login.example/start"}, nil, "", "302 to https://login.example/start?rd=http://a.example%2Fx%20y"},
		"sign in with query":     {map[string]string{"auth-url": deny, "auth-signin": "https://login.example/?a=b"}, nil, "", "302 to https://login.example/?a=b&rd=http://a.example%2Fx%20y"},
		"sign in with way back":  {map[string]string{"auth-url": deny, "auth-signin": "https://login.example/?rd=$escaped_request_uri"}, nil, "", "302 to https://login.example/?rd=%2Fx%20y"},
		"sign in, own parameter": {map[string]string{"auth-url": deny, "auth-signin": "https://login.example/", "auth-signin-redirect-param": "to"}, nil, "", "302 to https://login.example/?to=http://a.example%2Fx%20y"},
		"nobody listens":         {map[string]string{"auth-url": "http://10.99.0.99:8080/ok"}, nil, "", "500"},
		"no such name":           {map[string]string{"auth-url": "http://gone.example.test/ok"}, nil, "", "500"},
		"the usual port":         {map[string]string{"auth-url": "http://ext.example.test/ok"}, nil, "", "200 b1:8080"},
		"HTTPS":                  {map[string]string{"auth-url": "https://auth.example.test:8443/ok"}, nil, "", "200 b1:8080"},
		"HTTP onto HTTPS":        {map[string]string{"auth-url": "http://auth.example.test:8443/ok"}, nil, "", "500"},
		"an unknown address":     {map[string]string{"auth-url": "http://192.0.2.1/ok"}, nil, "", "500?"},
		"a variable":             {map[string]string{"auth-url": "http://$host/ok"}, nil, "", "200 b1:8080?"},

		"a password":             {basic("plain"), right, "unchecked", "200 b1:8080"},
		"a wrong password":       {basic("plain"), wrong, "unchecked", "401"},
		"hashed by SHA":          {basic("other/sha"), right, "unchecked", "200 b1:8080"},
		"hashed by apr1":         {basic("apr1"), right, "unchecked", "200 b1:8080"},
		"wrong, hashed by apr1":  {basic("apr1"), wrong, "unchecked", "401"},
		"another scheme":         {basic("plain"), map[string]string{"Authorization": "Bearer x"}, "unchecked", "401"},
		"another user":           {basic("plain"), map[string]string{"Authorization": "Basic eDp5"}, "unchecked", "401"},
		"hashed in another way":  {basic("unknown"), right, "unchecked", "200 b1:8080?"},
		"no Secret":              {basic("gone"), right, "unchecked", "200 b1:8080?"},
		"a header for somebody":  {nil, right, "", "200 b1:8080"},
		"type without a request": {basic("plain"), nil, "", "200 b1:8080"},
	} {
		route := routeTo(test.annotations, "10.99.0.1:8080")
		route.Undecided = test.undecided
		r := request{Scheme: "http", Host: "a.example", Path: "/x y", Headers: test.headers}
		if got := outlook(recordingMachine().forecast(r, route, files)); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

// TestAPR1 compares with what openssl passwd -apr1 prints.
func TestAPR1(t *testing.T) {
	for _, test := range [][3]string{
		{"bar", "OFG3Xybp", "$apr1$OFG3Xybp$ckL0FHDAkoXYIlH9.cysT0"},
		{"x", "a", "$apr1$a$CwOs8ZUV1Vmp.iAwImfTn1"},
		{"correct horse battery staple, and more", "saltsalt", "$apr1$saltsalt$dOTk2pdZsR23V5rb2OLkS/"},
		{"sixteen letters!", "12345678", "$apr1$12345678$/hxkpIWfcfUDOXsr8MLxB1"},
	} {
		if got := hashAPR1(test[0], test[1]); got != test[2] {
			t.Errorf("%q with salt %q: got %s, want %s", test[0], test[1], got, test[2])
		}
	}
}

func TestUsual(t *testing.T) {
	for location, want := range map[string]string{
		"http://a.example:18080":      "http://a.example",
		"https://a.example:18443/x?y": "https://a.example/x?y",
		"https://a.example:18080/":    "https://a.example:18080/",
		"https://a.example/:18443":    "https://a.example/:18443",
		"/x":                          "/x",
		"":                            "",
	} {
		if got := recordingMachine().usual(location); got != want {
			t.Errorf("%s: got %s, want %s", location, got, want)
		}
	}
}

func TestAnswers(t *testing.T) {
	for want, a := range map[string]answer{
		"404":                      {status: 404},
		"200 b1:8080":              {status: 200, backend: "b1", port: "8080"},
		"200 b1":                   {status: 200, backend: "b1"},
		"308 to https://a.example": {status: 308, location: "https://a.example"},
	} {
		if got := fmt.Sprint(a); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
