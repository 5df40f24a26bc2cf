import { Agent, fetch, type RequestInit, type Response } from 'undici';

export interface BrowserOptions {
  /** The name typed into the login form; `alice` if not given. */
  readonly login?: string;
  /** The person presses "cancel" instead of agreeing. */
  readonly refuse?: boolean;
}

/** Where a walk through the provider's pages ended. */
export interface Visit {
  /** The redirect that leaves the provider: the callback. */
  readonly location: URL | undefined;
  /** The form that leaves the provider: the callback with `response_mode=form_post`. */
  readonly post: { readonly action: URL; readonly fields: URLSearchParams } | undefined;
  /** The provider's last page, when the walk ended there. */
  readonly status: number;
  readonly body: string;
}

export interface ScriptedBrowser {
  /** Walks through the provider's login and consent forms, and stops before it leaves the provider. */
  visit(url: string | URL): Promise<Visit>;
  /** The same, and then delivers the callback as a browser does, redirects included; gives the last page. */
  open(url: string | URL): Promise<{ readonly status: number; readonly body: string; readonly url: string }>;
}

interface Form {
  readonly action: URL;
  readonly fields: URLSearchParams;
}

/** A person and their browser, by plain HTTP: fills the forms of oidc-provider's own pages and keeps cookies. */
export function createScriptedBrowser(
  providerOrigin: string,
  ca: string | undefined,
  { login = 'alice', refuse = false }: BrowserOptions = {},
): ScriptedBrowser {
  const cookies = new Map<string, string>();
  const dispatcher = new Agent({ connect: ca === undefined ? {} : { ca }, keepAliveTimeout: 10 });

  async function send(url: URL, form?: URLSearchParams): Promise<Response> {
    const ours = url.origin === providerOrigin;
    const init: RequestInit = { dispatcher, redirect: 'manual', headers: {} };
    if (ours) {
      init.headers = { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') };
    }
    if (form) {
      init.method = 'POST';
      init.body = form;
      init.headers = { ...(init.headers as Record<string, string>), origin: ours ? providerOrigin : 'null' };
    }
    const response = await fetch(url, init);
    if (ours) for (const cookie of response.headers.getSetCookie()) keepCookie(cookies, cookie);
    return response;
  }

  async function visit(start: string | URL): Promise<Visit> {
    let next: { url: URL; form?: URLSearchParams } = { url: new URL(start) };
    for (let step = 0; step < 20; step += 1) {
      const response = await send(next.url, next.form);
      const { url } = next;
      const location = response.headers.get('location');
      const body = await response.text();
      if (response.status >= 300 && response.status < 400 && location !== null) {
        const target = new URL(location, url);
        if (target.origin !== providerOrigin)
          return { location: target, post: undefined, status: response.status, body };
        next = { url: target };
        continue;
      }
      const end = { location: undefined, post: undefined, status: response.status, body };
      const form = response.status === 200 ? findForm(body, url) : undefined;
      if (form === undefined) return end;
      if (form.action.origin !== providerOrigin) return { ...end, post: form };
      const abort =
        refuse && form.fields.has('prompt') ? new URL(`${url.pathname.replace(/\/$/, '')}/abort`, url) : undefined;
      if (abort) {
        next = { url: abort };
        continue;
      }
      if (refuse && form.fields.has('confirm')) {
        form.fields.set('abort', 'yes');
        await (await send(form.action, form.fields)).text();
        return end;
      }
      if (form.fields.has('login')) form.fields.set('login', login);
      if (form.fields.has('password')) form.fields.set('password', 'any');
      next = { url: form.action, form: form.fields };
    }
    throw new Error(`the provider's pages do not end: ${next.url.href}`);
  }

  return {
    visit,
    async open(start) {
      const visited = await visit(start);
      let next: { url: URL; form?: URLSearchParams };
      if (visited.location) next = { url: visited.location };
      else if (visited.post) next = { url: visited.post.action, form: visited.post.fields };
      else return { status: visited.status, body: visited.body, url: String(start) };
      for (let step = 0; step < 5; step += 1) {
        const response = await send(next.url, next.form);
        const body = await response.text();
        const location = response.headers.get('location');
        if (location === null) return { status: response.status, body, url: next.url.href };
        next = { url: new URL(location, next.url) };
      }
      throw new Error(`the callback's redirects do not end: ${next.url.href}`);
    },
  };
}

function keepCookie(cookies: Map<string, string>, header: string): void {
  const [, name, value] = /^([^=;]+)=([^;]*)/.exec(header) ?? [];
  if (name === undefined || value === undefined) return;
  if (value === '' || /expires=Thu, 01 Jan 1970/i.test(header)) cookies.delete(name);
  else cookies.set(name, value);
}

/** The first form of a page, with the values that its fields have. */
function findForm(html: string, base: URL): Form | undefined {
  const form = /<form\b[^>]*>([\s\S]*?)<\/form>/i.exec(html);
  if (form === null) return undefined;
  const fields = new URLSearchParams();
  for (const [input] of (form[1] ?? '').matchAll(/<input\b[^>]*>/gi)) {
    const name = attribute(input, 'name');
    if (name !== undefined) fields.set(name, attribute(input, 'value') ?? '');
  }
  return { action: new URL(attribute(form[0].slice(0, form[0].indexOf('>')), 'action') ?? '', base), fields };
}

function attribute(tag: string, name: string): string | undefined {
  return new RegExp(`\\b${name}="([^"]*)"`, 'i')
    .exec(tag)?.[1]
    ?.replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&');
}
