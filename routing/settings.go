// SPDX-License-Identifier: Apache-2.0

package routing

import (
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
)

// ControllerSettings are the flags and ConfigMap values of one installation of
// ingress-nginx that change what it does with an Ingress. The zero value means
// the defaults of v1.15.1.
type ControllerSettings struct {
	// Confirmed is true where the settings are known to be those of the controller:
	// they were read from it, or the operator said so. Otherwise they are a guess.
	Confirmed bool `json:"-"`
	// Version is the controller's version, such as "v1.15.1". Empty means v1.15.1.
	// The rules of this package are those of v1.15.1 whatever it says.
	Version string `json:"version,omitempty"`
	// AnnotationsPrefix is the flag --annotations-prefix, without the slash. Empty
	// means nginx.ingress.kubernetes.io.
	AnnotationsPrefix string `json:"annotationsPrefix,omitempty"`
	// DisableAnnotationValidation is the flag --enable-annotation-validation=false.
	DisableAnnotationValidation bool `json:"disableAnnotationValidation,omitempty"`
	// AnnotationsRiskLevel is annotations-risk-level of the ConfigMap. Nil means
	// High: every snippet is refused.
	AnnotationsRiskLevel *Risk `json:"annotationsRiskLevel,omitempty"`
	// AllowSnippets is allow-snippet-annotations of the ConfigMap.
	AllowSnippets bool `json:"allowSnippets,omitempty"`
	// AllowCrossNamespace is allow-cross-namespace-resources of the ConfigMap.
	AllowCrossNamespace bool `json:"allowCrossNamespace,omitempty"`
	// WordBlocklist is annotation-value-word-blocklist of the ConfigMap, split at
	// the commas. Empty words count for nothing here.
	WordBlocklist []string `json:"wordBlocklist,omitempty"`
	// DisableDeepInspect is the flag --deep-inspect=false.
	DisableDeepInspect bool `json:"disableDeepInspect,omitempty"`
	// DisableCatchAll is the flag --disable-catch-all.
	DisableCatchAll bool `json:"disableCatchAll,omitempty"`
	// EnableSSLPassthrough is the flag --enable-ssl-passthrough.
	EnableSSLPassthrough bool `json:"enableSSLPassthrough,omitempty"`
	// DisableExternalName is the flag --disable-svc-external-name.
	DisableExternalName bool `json:"disableExternalName,omitempty"`
	// WatchWithoutClass is the flag --watch-ingress-without-class.
	WatchWithoutClass bool `json:"watchWithoutClass,omitempty"`
	// IngressClass is the flag --ingress-class. Empty means nginx.
	IngressClass string `json:"ingressClass,omitempty"`
	// ClassByName is the flag --ingress-class-by-name.
	ClassByName bool `json:"classByName,omitempty"`
	// DefaultSSLCertificate is the flag --default-ssl-certificate, namespace/name.
	DefaultSSLCertificate string `json:"defaultSSLCertificate,omitempty"`
	// DefaultBackendService is the flag --default-backend-service, namespace/name.
	DefaultBackendService string `json:"defaultBackendService,omitempty"`
	// ServiceUpstream is service-upstream of the ConfigMap.
	ServiceUpstream bool `json:"serviceUpstream,omitempty"`
	// SSLRedirect is ssl-redirect of the ConfigMap. Nil means true.
	SSLRedirect *bool `json:"sslRedirect,omitempty"`
	// ForceSSLRedirect is force-ssl-redirect of the ConfigMap.
	ForceSSLRedirect bool `json:"forceSSLRedirect,omitempty"`
	// PreserveTrailingSlash is preserve-trailing-slash of the ConfigMap.
	PreserveTrailingSlash bool `json:"preserveTrailingSlash,omitempty"`
	// NoTLSRedirectLocations is no-tls-redirect-locations of the ConfigMap, split
	// at the commas. Nil means /.well-known/acme-challenge.
	NoTLSRedirectLocations []string `json:"noTLSRedirectLocations,omitzero"`
	// GlobalAllowedResponseHeaders is global-allowed-response-headers of the
	// ConfigMap: the headers that the annotation custom-headers may set.
	GlobalAllowedResponseHeaders []string `json:"globalAllowedResponseHeaders,omitempty"`
	// UseForwardedHeaders is use-forwarded-headers of the ConfigMap.
	UseForwardedHeaders bool `json:"useForwardedHeaders,omitempty"`
	// UseProxyProtocol is use-proxy-protocol of the ConfigMap.
	UseProxyProtocol bool `json:"useProxyProtocol,omitempty"`
	// CustomHTTPErrors is custom-http-errors of the ConfigMap.
	CustomHTTPErrors []int `json:"customHTTPErrors,omitempty"`
	// LoadBalance is load-balance of the ConfigMap. Empty means round_robin.
	LoadBalance string `json:"loadBalance,omitempty"`
	// ProxyBuffersNumber is proxy-buffers-number of the ConfigMap. Zero means 4.
	ProxyBuffersNumber int `json:"proxyBuffersNumber,omitempty"`
	// ProxyBufferSize is proxy-buffer-size of the ConfigMap. Empty means 4k.
	ProxyBufferSize string `json:"proxyBufferSize,omitempty"`
	// ProxyMaxTempFileSize is proxy-max-temp-file-size of the ConfigMap. Empty means
	// 1024m.
	ProxyMaxTempFileSize string `json:"proxyMaxTempFileSize,omitempty"`
	// LenientPathType is strict-validate-path-type=false of the ConfigMap. It
	// concerns the controller's own webhook only.
	LenientPathType bool `json:"lenientPathType,omitempty"`
}

// defaultIngressClass is the value of the class annotation that ingress-nginx
// serves by default.
const defaultIngressClass = "nginx"

func (c *ControllerSettings) prefix() string {
	if c.AnnotationsPrefix == "" {
		return NginxPrefix
	}
	return c.AnnotationsPrefix + "/"
}

// Class returns the value of the class annotation that the controller serves.
func (c *ControllerSettings) Class() string {
	if c.IngressClass == "" {
		return defaultIngressClass
	}
	return c.IngressClass
}

// SettingsOf returns the settings of the installations that serve the Ingress, the
// defaults where none of ingress-nginx does.
func (s *Snapshot) SettingsOf(ing *networkingv1.Ingress) ControllerSettings {
	return s.Settings.Of(s.ClassOf(ing).SpecController)
}

// RiskLevel returns the highest risk of an annotation that the controller takes.
func (c *ControllerSettings) RiskLevel() Risk {
	if c.AnnotationsRiskLevel == nil {
		return RiskHigh
	}
	return *c.AnnotationsRiskLevel
}

// ExemptFromTLSRedirect reports whether the controller answers the path over
// plain HTTP, whatever it redirects to HTTPS otherwise.
func (c *ControllerSettings) ExemptFromTLSRedirect(path string) bool {
	if c.NoTLSRedirectLocations == nil {
		return strings.HasPrefix(path, "/.well-known/acme-challenge")
	}
	return slices.ContainsFunc(c.NoTLSRedirectLocations, func(l string) bool { return l != "" && strings.HasPrefix(path, l) })
}
