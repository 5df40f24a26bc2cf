import { describe, expect, test } from 'vitest';
import { chooseWay, type ChoiceInput } from '../../../cli/sign-in/choice.ts';

const desktop: ChoiceInput = {
  platform: 'linux',
  env: { DISPLAY: ':0' },
  inContainer: false,
  inWsl: false,
  browserCommand: false,
  offersDevice: true,
  allowPaste: true,
};

describe('a browser', () => {
  test.each<[string, Partial<ChoiceInput>]>([
    ['on a Linux desktop (X)', {}],
    ['on a Linux desktop (Wayland)', { env: { WAYLAND_DISPLAY: 'wayland-0' } }],
    ['on macOS', { platform: 'darwin', env: {} }],
    ['on Windows', { platform: 'win32', env: {} }],
    ['in WSL, which has no display of its own', { inWsl: true, env: {} }],
    [
      'over SSH where BROWSER opens one in front of the person',
      { env: { SSH_CONNECTION: 'a', BROWSER: '/opt/editor/open.sh' } },
    ],
    ['over SSH where an editor has set BROWSER', { env: { SSH_TTY: 'a', BROWSER: '/srv/editor/helpers/browser.sh' } }],
    ['without a display where BROWSER is said', { env: { BROWSER: 'firefox' } }],
    ['in a container where a command is configured', { inContainer: true, env: {}, browserCommand: true }],
  ])('%s', (_where, changes) => {
    expect(chooseWay({ ...desktop, ...changes })).toEqual({ way: 'browser', reason: undefined });
  });
});

const headless: [string, Partial<ChoiceInput>, RegExp][] = [
  ['over SSH', { env: { DISPLAY: 'localhost:10.0', SSH_CONNECTION: '10.0.0.1 22' } }, /SSH session/],
  ['over SSH to a Mac', { platform: 'darwin', env: { SSH_TTY: '/dev/ttys001' } }, /SSH session/],
  [
    'over SSH, with a browser that would open there',
    { env: { SSH_TTY: 'a', BROWSER: 'firefox-esr:chromium' } },
    /SSH session/,
  ],
  ['in a container, with a browser of it', { inContainer: true, env: { BROWSER: '/usr/bin/xdg-open' } }, /container/],
  ['in a container', { inContainer: true, env: {} }, /container/],
  ['in a pod', { env: { KUBERNETES_SERVICE_HOST: '10.0.0.1' } }, /container/],
  ['without a display', { env: {} }, /no display/],
  ['with an empty DISPLAY', { env: { DISPLAY: '' } }, /no display/],
  ['with a text browser, which has no terminal here', { env: { BROWSER: 'w3m' } }, /no display/],
];

describe('a code, and the reason', () => {
  test.each(headless)('%s', (_where, changes, reason) => {
    const choice = chooseWay({ ...desktop, ...changes });
    expect(choice.way).toBe('device');
    expect(choice.reason).toMatch(reason);
  });

  test.each(headless)('pasting where the provider has no device code: %s', (_where, changes, reason) => {
    const choice = chooseWay({ ...desktop, ...changes, offersDevice: false });
    expect(choice.way).toBe('paste');
    expect(choice.reason).toMatch(reason);
  });
});

test('where nothing can work it is an error with the way out, not a wait', () => {
  expect(() => chooseWay({ ...desktop, env: {}, offersDevice: false, allowPaste: false })).toThrow(
    expect.objectContaining({ code: 'browser_unavailable', exitCode: 3, hint: expect.stringContaining('kleis login') }),
  );
});

test('where nobody reads what is written, a code is of no use: it ends at once', () => {
  const nobody = { ...desktop, env: {}, nobodyReads: true };
  expect(() => chooseWay(nobody)).toThrow(expect.objectContaining({ code: 'browser_unavailable', exitCode: 3 }));
  expect(chooseWay({ ...desktop, nobodyReads: true }).way).toBe('browser');
});
