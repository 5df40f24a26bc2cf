import { spawn } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createLineEditor } from '../../../cli/sign-in/line.ts';
import { parsePasted } from '../../../cli/sign-in/paste.ts';
import { bundle } from '../../support/bundle.ts';
import { failure } from '../../support/failure.ts';
import { needs } from '../../support/needs.ts';
import { startProvider, type TestProvider } from '../../support/provider.ts';
import { addressShown, createTestDeps, readUntil, settingsFor, type TestDepsOptions, connectTo } from './world.ts';

let provider: TestProvider;
beforeAll(async () => {
  provider = await startProvider();
});
afterAll(() => provider.stop());

async function begin(options: TestDepsOptions = { terminal: true }, changes: Parameters<typeof settingsFor>[1] = {}) {
  const deps = createTestDeps(options);
  const settings = settingsFor(provider.issuer, { login: 'paste', listenAddress: [], ...changes });
  const kleis = await connectTo(settings, deps);
  const tokens = kleis.signIn({ allowPaste: true });
  tokens.catch(() => undefined);
  const url = await addressShown(deps);
  await readUntil(deps, /[Pp]aste/);
  return { deps, url, tokens };
}

describe('pasting', () => {
  test('the address that the browser was sent to signs in; the code is shown nowhere', async () => {
    const { deps, url, tokens } = await begin();
    expect(new URL(url).searchParams.get('redirect_uri')).toBe('http://localhost:8000');
    const { location } = await provider.browser().visit(url);
    deps.type(`\u001b[200~${location?.href ?? ''}\u001b[201~`);
    deps.type('\r');
    expect((await tokens).idToken).toBeDefined();
    expect(deps.written()).not.toContain(location?.searchParams.get('code'));
    expect(deps.rawModes).toEqual([true, false]);
    expect(deps.written()).toContain('\u001b[?2004l');
  });

  test('the code alone signs in', async () => {
    const { deps, url, tokens } = await begin();
    const { location } = await provider.browser().visit(url);
    deps.type(`${location?.searchParams.get('code') ?? ''}\n`);
    expect((await tokens).idToken).toBeDefined();
  });

  test('an address above 4096 characters comes whole, in whatever pieces', async () => {
    const { deps, url, tokens } = await begin();
    const { location } = await provider.browser().visit(url);
    location?.searchParams.set('session_state', 'x'.repeat(9000));
    const text = `${location?.href ?? ''}\r`;
    for (let at = 0; at < text.length; at += 1000) deps.type(text.slice(at, at + 1000));
    expect((await tokens).idToken).toBeDefined();
  });

  test('without a terminal one line of stdin is read', async () => {
    const { deps, url, tokens } = await begin({ terminal: false });
    const { location } = await provider.browser().visit(url);
    deps.type(`${location?.href ?? ''}\n`);
    expect((await tokens).idToken).toBeDefined();
    expect(deps.rawModes).toEqual([]);
  });

  test('an address of another sign-in, or nonsense, is told and asked for again', async () => {
    const { deps, url, tokens } = await begin();
    deps.type('http://localhost:8000/?code=stolen&state=other\r');
    await readUntil(deps, /from another sign-in/);
    deps.type('http://localhost:8000/?nothing=here\r');
    await readUntil(deps, /neither such an address nor a code/);
    const { location } = await provider.browser().visit(url);
    deps.type(`${location?.href ?? ''}\r`);
    expect((await tokens).idToken).toBeDefined();
    expect(provider.seen.some(({ params }) => params['code'] === 'stolen')).toBe(false);
  });

  test('a refusal that is pasted is a refusal', async () => {
    const { deps, url, tokens } = await begin();
    const { location } = await provider.browser({ refuse: true }).visit(url);
    deps.type(`${location?.href ?? ''}\r`);
    expect(await failure(tokens)).toMatchObject({ code: 'sign_in_refused' });
  });

  test('a refusal that names no sign-in is one too: the person says which it is about', async () => {
    const { deps, tokens } = await begin();
    deps.type('http://localhost:8000/?error=invalid_scope&error_description=Invalid+scopes\r');
    const error = await failure(tokens);
    expect(error).toMatchObject({ code: 'token_unusable' });
    expect(error.message).toContain('Invalid scopes');
  });

  test.each([
    ['Ctrl-C', '\u0003'],
    ['Ctrl-D', '\u0004'],
  ])('%s cancels and gives the terminal back', async (_key, typed) => {
    const { deps, tokens } = await begin();
    deps.type(typed);
    expect(await failure(tokens)).toMatchObject({ code: 'sign_in_cancelled', exitCode: 3 });
    expect(deps.rawModes).toEqual([true, false]);
  });

  test('the end of stdin, and a line without end, end it', async () => {
    const ended = await begin({ terminal: false });
    ended.deps.stdin.emit('end');
    expect(await failure(ended.tokens)).toMatchObject({ code: 'sign_in_invalid' });
    const endless = await begin({ terminal: false });
    endless.deps.type('x'.repeat(100_000));
    expect(await failure(endless.tokens)).toMatchObject({ code: 'sign_in_invalid' });
  });

  test('sign_in_timeout when nobody pastes leaves the terminal as it was', async () => {
    const { deps, tokens } = await begin({ terminal: true }, { loginTimeout: 400 });
    expect(await failure(tokens)).toMatchObject({ code: 'sign_in_timeout' });
    expect(deps.rawModes).toEqual([true, false]);
  });

  test('where it is not allowed and there is no terminal, it says what to run', async () => {
    const kleis = await connectTo(settingsFor(provider.issuer, { login: 'paste' }), createTestDeps());
    expect(await failure(kleis.signIn())).toMatchObject({ code: 'sign_in_needed' });
  });
});

describe('beside the browser, in kleis login', () => {
  test('either of them signs in', async () => {
    for (const way of ['browser', 'paste']) {
      const { deps, url, tokens } = await begin(
        { terminal: true },
        { login: 'browser', listenAddress: ['localhost:0'] },
      );
      const { location } = await provider.browser().visit(url);
      if (way === 'browser') await fetch(location ?? '');
      else deps.type(`${location?.href ?? ''}\r`);
      expect((await tokens).idToken).toBeDefined();
      expect(deps.rawModes).toEqual([true, false]);
    }
  });
});

const script = needs('script');

describe.skipIf(script === undefined)('on a real terminal', () => {
  test('a line far above 4096 bytes comes whole, and is echoed nowhere', async () => {
    const program = await bundle('test/cli/sign-in/paste-program.ts');
    const shell = `'${process.execPath}' '${program}' the-state`;
    // A terminal of the test's own, whatever that of the machine can do.
    const env = { ...process.env, TERM: 'xterm' };
    const terminal = spawn(script ?? '', ['-qefc', shell, '/dev/null'], { env, stdio: ['pipe', 'pipe', 'inherit'] });
    let output = '';
    let pasted = false;
    const code = 'c0de'.repeat(5000);
    await new Promise<void>((resolve, reject) => {
      terminal.stdout.on('data', (chunk: Buffer) => {
        output += chunk.toString();
        // Only when bracketed paste was asked for is the terminal ours.
        if (pasted || !output.includes('\u001b[?2004h')) return;
        pasted = true;
        terminal.stdin.write(`\u001b[200~http://localhost:8000/?state=the-state&code=${code}\u001b[201~\r`);
      });
      terminal.once('error', reject).once('close', () => resolve());
    });
    expect(output).toContain('[code of 20000, raw false]');
    expect(output).not.toContain('c0dec0de');
  });
});

describe('what counts as pasted', () => {
  test.each([
    ['http://localhost:8000/?code=abc&state=s', { code: 'abc', state: 's' }],
    ['  http://localhost:8000/?code=abc&st\n ate=s \n', { code: 'abc', state: 's' }],
    ['?code=abc&state=s', { code: 'abc', state: 's' }],
    ['code=abc&state=s', { code: 'abc', state: 's' }],
    ['4/0Abc-d_e', { code: '4/0Abc-d_e' }],
    ['4%2F0Abc', { code: '4/0Abc' }],
    ['http://localhost:8000/?error=access_denied&state=s', { error: 'access_denied', state: 's' }],
  ])('%j', (text, expected) => {
    expect(Object.fromEntries(parsePasted(text) ?? [])).toEqual(expected);
  });

  test.each(['http://localhost:8000/', 'http://[', 'abc', 'ünïcödé-code', ''])('%j does not', (text) => {
    expect(parsePasted(text)).toBeUndefined();
  });
});

describe('the keys', () => {
  test.each([
    ['abc\u007fd\r', 'abd', 'submit'],
    ['abc\u0015d\r', 'd', 'submit'],
    ['\u001b[Aab\u001b[1;5Cc\r', 'abc', 'submit'],
    ['\u001b[200~a\nb\rc\u001b[201~\r', 'abc', 'submit'],
    ['\r\rab', 'ab', undefined],
    ['ab\u0004', 'ab', 'submit'],
    ['ab\u0003', 'ab', 'cancel'],
    ['a\u0000\u0007b\r', 'ab', 'submit'],
  ])('%j leaves %j', (typed, text, result) => {
    for (const size of [1, typed.length]) {
      const editor = createLineEditor();
      let got: string | undefined;
      for (let at = 0; at < typed.length; at += size) got ??= editor.type(typed.slice(at, at + size));
      expect([editor.text(), got]).toEqual([text, result]);
    }
  });
});
