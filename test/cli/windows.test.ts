import { describe, expect, it, test } from 'vitest';
import { commandOf } from '../../cli/doctor/run-program.ts';
import { readExec } from '../../cli/kubeconfig/entry.ts';
import { kubeconfigSources } from '../../cli/kubeconfig/load.ts';
import { chunkSize } from '../../cli/session/keyring-items.ts';
import { configFile, credentialDirs, stateDir } from '../../cli/settings/paths.ts';
import { namesAsUpper } from '../../cli/surroundings/process.ts';
import { execEntry } from '../../shared/kube/exec-entry.ts';

// Windows, as far as another system can tell: with its name given to what asks for it.

const platform = 'win32';

describe('where things live', () => {
  const profile = String.raw`C:\Users\Ann Lee`;

  it.each([
    ['in the profile', { USERPROFILE: profile }, String.raw`C:\Users\Ann Lee\AppData`],
    ['on a share', { USERPROFILE: String.raw`\\files\home\ann` }, String.raw`\\files\home\ann\AppData`],
  ])('%s', (_, env, data) => {
    expect(stateDir(env, platform)).toBe(String.raw`${data}\Local\kleis`);
    expect(credentialDirs(env, platform)).toEqual([String.raw`${data}\Local\kleis\credentials`]);
    expect(configFile(env, platform)).toBe(String.raw`${data}\Roaming\kleis\config.yaml`);
  });

  it('where APPDATA and LOCALAPPDATA say, and XDG says nothing', () => {
    const env = {
      USERPROFILE: profile,
      APPDATA: String.raw`D:\r`,
      LOCALAPPDATA: String.raw`\\s\l`,
      XDG_STATE_HOME: String.raw`C:\x`,
      XDG_CONFIG_HOME: String.raw`C:\x`,
    };
    expect(stateDir(env, platform)).toBe(String.raw`\\s\l\kleis`);
    expect(configFile(env, platform)).toBe(String.raw`D:\r\kleis\config.yaml`);
    expect(stateDir({ ...env, LOCALAPPDATA: String.raw`relative\x` }, platform)).toBe(
      String.raw`C:\Users\Ann Lee\AppData\Local\kleis`,
    );
    // Of which drive nobody knows.
    expect(() => stateDir({ KLEIS_STATE_DIR: 'C:relative' }, platform)).toThrow('not an absolute path');
  });

  it('kubeconfigs are divided by semicolons, since a drive has a colon', () => {
    const KUBECONFIG = String.raw`C:\a\config;\\files\b;;C:\a\config`;
    expect(kubeconfigSources(undefined, { env: { KUBECONFIG }, platform }).paths).toEqual([
      String.raw`C:\a\config`,
      String.raw`\\files\b`,
    ]);
    expect(kubeconfigSources(undefined, { env: { USERPROFILE: profile }, platform }).paths).toEqual([
      String.raw`C:\Users\Ann Lee\.kube\config`,
    ]);
    const drive = { HOMEDRIVE: 'H:', HOMEPATH: String.raw`\ann` };
    expect(kubeconfigSources(undefined, { env: drive, platform }).paths).toEqual([String.raw`H:\ann\.kube\config`]);
  });

  it('a variable is the same in capitals and small letters, also in a copy', () => {
    expect(namesAsUpper({ Path: 'p', ComSpec: 'c', KLEIS_LOG: 'debug' })).toEqual({
      PATH: 'p',
      COMSPEC: 'c',
      KLEIS_LOG: 'debug',
    });
  });
});

describe('what a kubeconfig names', () => {
  const flags = ['--issuer-url=https://login.example.com/a b', "--account=O'Neil, Ann (x)", '--auth-param=a=b;c!d'];

  it('is kleis-get-token, which npm makes a .cmd of, and is read again as ours however it is spelt', () => {
    const exec = execEntry({ args: flags, platform });
    expect(exec['command']).toBe('kleis-get-token');
    for (const command of [
      'kleis-get-token',
      'kleis-get-token.cmd',
      'KLEIS-GET-TOKEN.CMD',
      String.raw`C:\Program Files\nodejs\kleis-get-token.cmd`,
      'C:/npm/kleis-get-token.exe',
    ]) {
      expect(readExec({ exec: { ...exec, command } })?.args, command).toEqual(flags);
    }
  });

  test.each(['a%PATH%', 'a"b', 'a&calc', 'a|b', 'a>b', 'a<b', 'a^b', 'a\nb'])(
    'holds no argument of which cmd.exe would make another: %j',
    (value) => {
      expect(() => execEntry({ args: [`--account=${value}`], platform })).toThrow(
        /^--account holds a character that cmd/,
      );
      expect(execEntry({ args: [`--account=${value}`], platform: 'linux' })['args']).toEqual([`--account=${value}`]);
    },
  );

  it('is no longer than cmd.exe takes', () => {
    const args = [`--certificate-authority-data=${'A'.repeat(8000)}`];
    expect(() => execEntry({ args, platform })).toThrow('more than cmd.exe takes');
    expect(() => execEntry({ args: [`--certificate-authority-data=${'A'.repeat(7000)}`], platform })).not.toThrow();
  });
});

describe('programs', () => {
  it('that are a .cmd are run by cmd.exe with each word in quotes, and not where one could end them', () => {
    const file = String.raw`C:\Program Files\nodejs\kleis-get-token.cmd`;
    const env = { COMSPEC: String.raw`C:\Windows\system32\cmd.exe` };
    expect(commandOf(file, ['--version'], env)).toEqual([
      env.COMSPEC,
      ['/d', '/s', '/c', String.raw`""C:\Program Files\nodejs\kleis-get-token.cmd" "--version""`],
      true,
    ]);
    expect(commandOf('C:\\kubectl.exe', ['a b'], env)).toEqual(['C:\\kubectl.exe', ['a b'], false]);
    expect(commandOf(file, ['"&calc'], env)[0]).toBe(file);
    expect(commandOf(file, ['%PATH%'], env)[0]).toBe(file);
  });
});

it('the Credential Manager takes 2560 bytes an item, in UTF-16', () => {
  expect(chunkSize(platform) * 2).toBeLessThanOrEqual(2560);
});
