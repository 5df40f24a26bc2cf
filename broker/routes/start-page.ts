import { createHash } from 'node:crypto';
import type { Answer } from '../http/answer.ts';

const style = `
:root { color-scheme: light dark; font: 1rem/1.6 system-ui, sans-serif; }
body { max-width: 38rem; margin: 12vh auto; padding: 0 1.25rem; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; }
code { font: 0.95em ui-monospace, monospace; }
pre { padding: 0.9rem 1rem; border: 1px solid; border-radius: 0.5rem; white-space: pre-wrap; }
`;

const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Kleis broker</title>
<style>${style}</style>
</head>
<body>
<main>
<h1>This is a Kleis broker</h1>
<p>It gives people and CI jobs short-lived access to Kubernetes, for a token that they have already.</p>
<p>With <code>kleis</code> installed (<code>npm install --global kleis</code>), this writes what is yours into your kubeconfig, and in a job it needs no person. Put the address of this page in the place of URL:</p>
<pre><code>kleis kubeconfig add --from URL</code></pre>
<p>You run this broker? <code>web</code> in its configuration puts a page here at which people sign in, see what they may do, and take back what they were given.</p>
</main>
</body>
</html>
`;

const headers = {
  'Content-Security-Policy': `default-src 'none'; style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
};

/** `GET /` of a broker without a web page: what it is, and how to begin. It names nothing of the configuration. */
export function startPage(): Answer {
  return { status: 200, type: 'text/html; charset=utf-8', body: html, headers };
}
