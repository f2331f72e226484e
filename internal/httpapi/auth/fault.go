package auth

import (
	"github.com/fairagro/middleware-api/internal/fault"
)

// The ways in which a request is refused.
const (
	CodeCertificateMissing    fault.Code = "certificate_missing"
	CodeCertificateUnverified fault.Code = "certificate_unverified"
	CodeCertificateUnreadable fault.Code = "certificate_unreadable"
	CodeCertificateNameless   fault.Code = "certificate_nameless"
	CodeRDIUnknown            fault.Code = "rdi_unknown"
	CodeRDIForbidden          fault.Code = "rdi_forbidden"
)

func missing() error {
	return &fault.Error{
		Code: CodeCertificateMissing, Owner: fault.OwnerRDI,
		Text:   "Client certificate required",
		Remedy: "send the request with the client certificate issued for your RDI",
	}
}

func unverified(result string) error {
	return &fault.Error{
		Code: CodeCertificateUnverified, Owner: fault.OwnerRDI,
		Text:   "Client certificate verification failed: " + result,
		Remedy: "use a valid certificate of an accepted certification authority",
	}
}

func unreadable(cause error) error {
	return &fault.Error{
		Code: CodeCertificateUnreadable, Owner: fault.OwnerOperator,
		Text:   "Certificate parsing error: " + cause.Error(),
		Remedy: "let the proxy hand over the certificate as percent-encoded PEM",
		Cause:  cause,
	}
}

func nameless() error {
	return &fault.Error{
		Code: CodeCertificateNameless, Owner: fault.OwnerRDI,
		Text:   "Certificate subject does not contain CN",
		Remedy: "use a certificate whose subject has a common name",
	}
}
