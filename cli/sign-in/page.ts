import { createHash } from 'node:crypto';

/** How a visit of the browser to our address ended. Texts are cleaned already. */
export type PageOutcome =
  | { readonly kind: 'signed-in'; readonly name: string | undefined }
  | { readonly kind: 'failed'; readonly message: string; readonly hint: string | undefined }
  /** Not from this sign-in. */
  | { readonly kind: 'stray'; readonly provider: string }
  /** An error that does not say which sign-in it is about. */
  | { readonly kind: 'unmarked' }
  | { readonly kind: 'used' }
  | { readonly kind: 'not-found' };

interface Content {
  readonly mark: 'good' | 'bad' | 'none';
  readonly title: string;
  readonly lines: readonly string[];
}

const style = `
:root { color-scheme: light dark; --back: #f6f7f9; --card: #fff; --text: #1c2430; --soft: #5b6675; --line: #e3e7ec; --good: #12805c; --bad: #b3261e }
@media (prefers-color-scheme: dark) { :root { --back: #12161c; --card: #1a2029; --text: #e8ecf1; --soft: #9aa6b5; --line: #2a323d; --good: #4cc38a; --bad: #f2786d } }
* { box-sizing: border-box }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.5rem; background: var(--back); color: var(--text); font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", sans-serif }
main { width: 100%; max-width: 30rem; padding: 2.25rem 2.25rem 1.75rem; background: var(--card); border: 1px solid var(--line); border-radius: .9rem }
svg { display: block; width: 2.75rem; height: 2.75rem; margin-bottom: 1.1rem; fill: none; stroke: currentColor; stroke-width: 2; stroke-linecap: round; stroke-linejoin: round }
.good { color: var(--good) }
.bad { color: var(--bad) }
.none { color: var(--soft) }
h1 { margin: 0 0 .6rem; font-size: 1.35rem; line-height: 1.3; font-weight: 600; overflow-wrap: anywhere }
p { margin: 0 0 .6rem; color: var(--soft); overflow-wrap: anywhere }
footer { margin-top: 1.5rem; padding-top: 1rem; border-top: 1px solid var(--line); color: var(--soft); font-size: .85rem }
`;

const marks: Record<Content['mark'], string> = {
  good: '<circle cx="12" cy="12" r="10"/><path d="m7.5 12.5 3 3 6-6.5"/>',
  bad: '<circle cx="12" cy="12" r="10"/><path d="M12 7v6m0 3.5v.01"/>',
  none: '<circle cx="12" cy="12" r="10"/><path d="M8 12h8"/>',
};

const policy = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;

/** One small page in plain words: no script, nothing loaded from elsewhere, no token or code in it. */
export function renderPage(outcome: PageOutcome): { readonly body: string; readonly headers: Record<string, string> } {
  const { mark, title, lines } = contentOf(outcome);
  const body = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(title)} – Kleis</title>
<link rel="icon" href="data:,">
<style>${style}</style>
</head>
<body>
<main>
<svg class="${mark}" viewBox="0 0 24 24" aria-hidden="true">${marks[mark]}</svg>
<h1>${escape(title)}</h1>
${lines.map((line) => `<p>${escape(line)}</p>`).join('\n')}
<footer>Kleis, on your own machine</footer>
</main>
</body>
</html>
`;
  return {
    body,
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'content-length': String(Buffer.byteLength(body)),
      'content-security-policy': policy,
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
      'cross-origin-opener-policy': 'same-origin',
    },
  };
}

function contentOf(outcome: PageOutcome): Content {
  switch (outcome.kind) {
    case 'signed-in':
      return {
        mark: 'good',
        title: 'You are signed in',
        lines: [
          ...(outcome.name === undefined ? [] : [`As ${outcome.name}.`]),
          'You can close this tab and go back to your terminal.',
        ],
      };
    case 'failed':
      return {
        mark: 'bad',
        title: 'You are not signed in',
        lines: [outcome.message, ...(outcome.hint === undefined ? [] : [outcome.hint.replaceAll('`', '')])],
      };
    case 'stray':
      return {
        mark: 'bad',
        title: 'This does not belong to the sign-in under way',
        lines: [
          `It changed nothing. If you came here while signing in at ${outcome.provider}, an older tab may have answered: go back to the newest one.`,
        ],
      };
    case 'unmarked':
      return {
        mark: 'bad',
        title: 'The provider may have refused',
        lines: [
          'An error came, but it does not say which sign-in it is about, so it changed nothing. Your terminal says what it is.',
        ],
      };
    case 'used':
      return {
        mark: 'none',
        title: 'This answer was used already',
        lines: ['Your terminal says how the sign-in ended. You can close this tab.'],
      };
    case 'not-found':
      return {
        mark: 'none',
        title: 'There is nothing here',
        lines: ['Kleis is waiting here for the answer of your sign-in.'],
      };
  }
}

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
