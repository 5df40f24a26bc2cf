/** With every page, in the place of those that the API's answers have. */
export function pageHeaders(signOutAt: URL | undefined): Readonly<Record<string, string>> {
  // A browser checks where a form is sent on to as well.
  const forms = ["'self'", ...(signOutAt === undefined ? [] : [signOutAt.origin])];
  const policy = [
    "default-src 'none'",
    "style-src 'self'",
    "script-src 'self'",
    "img-src 'self'",
    `form-action ${forms.join(' ')}`,
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ];
  return {
    'Content-Security-Policy': policy.join('; '),
    // Without any a form would come with `Origin: null`.
    'Referrer-Policy': 'same-origin',
    'Cross-Origin-Embedder-Policy': 'require-corp',
    'Permissions-Policy': 'camera=(), geolocation=(), microphone=(), payment=(), usb=()',
    'X-Frame-Options': 'DENY',
  };
}
