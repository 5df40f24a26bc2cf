import { renderToString } from 'preact-render-to-string';
import { assets } from './assets.ts';
import type { Session } from '../session/session.ts';
import { texts } from './texts.ts';
import type { Content, Query } from './visit.ts';

/** What the frame of a page says of where one is, and who. */
export interface Frame {
  readonly href: (path: string, query?: Query) => string;
  readonly session: Session | undefined;
  readonly here: string;
  /** Those that this person may open. */
  readonly navigation: readonly { readonly path: string; readonly label: string; readonly admin: boolean }[];
  /** The origin that a sign-out is sent on to, if one is known. */
  readonly signOutAt: string | undefined;
}

/** A whole page as HTML. */
export function renderPage(content: Content, frame: Frame): string {
  return `<!doctype html>${renderToString(<Document content={content} frame={frame} />)}`;
}

function Document({ content, frame }: { content: Content; frame: Frame }) {
  const { title, lead, body } = content;
  const { href } = frame;
  return (
    <html lang={texts.lang}>
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>{`${title} · ${texts.product}`}</title>
        <link rel="icon" type="image/svg+xml" href={href(assets.icon.path)} />
        <link rel="stylesheet" href={href(assets.stylesheet.path)} />
        <script src={href(assets.script.path)} defer />
      </head>
      <body>
        <a class="skip" href="#content">
          {texts.frame.skip}
        </a>
        <TopBar frame={frame} />
        <main id="content" tabIndex={-1}>
          <div class="title">
            <h1>{title}</h1>
            {lead !== undefined && <p class="lead">{lead}</p>}
          </div>
          {body}
        </main>
        <footer class="foot">
          <p>{texts.frame.foot}</p>
        </footer>
      </body>
    </html>
  );
}

function TopBar({ frame: { href, session, here, navigation, signOutAt } }: { frame: Frame }) {
  return (
    <header class="bar">
      <div class="bar-inside">
        <a class="brand" href={href(session === undefined ? '/' : '/ui/access')}>
          <Mark />
          <span>{texts.product}</span>
        </a>
        {session !== undefined && (
          <>
            <nav aria-label={texts.frame.navigation}>
              <ul>
                {navigation.map(({ path, label, admin }) => (
                  <li key={path} class={admin ? 'for-admins' : undefined}>
                    <a href={href(path)} aria-current={path === here ? 'page' : undefined}>
                      {label}
                    </a>
                  </li>
                ))}
              </ul>
            </nav>
            <form class="me" method="post" action={href('/ui/sign-out')}>
              <input type="hidden" name="csrf" value={session.csrf} />
              {signOutAt !== undefined && <input type="hidden" name="at" value={signOutAt} />}
              <span class="me-name" title={session.name}>
                <span class="visually-hidden">{texts.frame.signedInAs} </span>
                {session.name}
              </span>
              {session.admin && <span class="badge badge-info">{texts.frame.admin}</span>}
              <button class="button button-quiet" type="submit">
                {texts.frame.signOut}
              </button>
            </form>
          </>
        )}
      </div>
    </header>
  );
}

/** The same as the icon, in the colour of the text. */
function Mark() {
  return (
    <svg class="mark" viewBox="0 0 32 32" width="24" height="24" aria-hidden="true" focusable="false">
      <path
        fill="none"
        stroke="currentColor"
        stroke-width="3"
        stroke-linecap="round"
        stroke-linejoin="round"
        d="M12 20a6 6 0 1 1 4.2-10.2A6 6 0 0 1 12 20Zm4.5-1.5L27 29m-5-5 3-3"
      />
    </svg>
  );
}
