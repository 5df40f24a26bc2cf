import { describe, expect, test } from 'vitest';
import { configFile, credentialDirs, stateDir } from '../../../cli/settings/paths.ts';

describe('where things live', () => {
  const home = '/home/ann';
  test.each([
    [{}, '/home/ann/.local/state/kleis', '/home/ann/.cache/kleis', '/home/ann/.config/kleis/config.yaml'],
    [
      { XDG_STATE_HOME: '/s', XDG_RUNTIME_DIR: '/r', XDG_CACHE_HOME: '/c', XDG_CONFIG_HOME: '/f' },
      '/s/kleis',
      '/r/kleis',
      '/f/kleis/config.yaml',
    ],
    [{ XDG_CACHE_HOME: '/c' }, '/home/ann/.local/state/kleis', '/c/kleis', '/home/ann/.config/kleis/config.yaml'],
    [
      { XDG_STATE_HOME: 's', XDG_RUNTIME_DIR: './r', XDG_CACHE_HOME: '', XDG_CONFIG_HOME: '~/f' },
      '/home/ann/.local/state/kleis',
      '/home/ann/.cache/kleis',
      '/home/ann/.config/kleis/config.yaml',
    ],
    [
      { KLEIS_STATE_DIR: '/a', KLEIS_CACHE_DIR: '/b', XDG_STATE_HOME: '/s', XDG_RUNTIME_DIR: '/r' },
      '/a',
      '/b',
      '/home/ann/.config/kleis/config.yaml',
    ],
  ])('%j', (env, state, credentials, config) => {
    expect(stateDir({ ...env, HOME: home }, 'linux')).toBe(state);
    expect(credentialDirs({ ...env, HOME: home }, 'darwin')[0]).toBe(credentials);
    expect(configFile({ ...env, HOME: home }, 'linux')).toBe(config);
  });

  test('on Windows in the profile of the person', () => {
    const env = { LOCALAPPDATA: 'C:\\Users\\ann\\AppData\\Local', APPDATA: 'C:\\Users\\ann\\AppData\\Roaming' };
    expect(stateDir(env, 'win32')).toBe('C:\\Users\\ann\\AppData\\Local\\kleis');
    expect(credentialDirs(env, 'win32')).toEqual(['C:\\Users\\ann\\AppData\\Local\\kleis\\credentials']);
    expect(configFile(env, 'win32')).toBe('C:\\Users\\ann\\AppData\\Roaming\\kleis\\config.yaml');
    expect(stateDir({ USERPROFILE: 'C:\\Users\\ann' }, 'win32')).toBe('C:\\Users\\ann\\AppData\\Local\\kleis');
  });

  test('nowhere, if nothing says where', () => {
    expect(stateDir({}, 'linux')).toBeUndefined();
    expect(credentialDirs({ HOME: '' }, 'linux')).toEqual([]);
    expect(configFile({}, 'linux')).toBeUndefined();
  });

  test('nothing of ours lies where a relative HOME would put it: in whatever folder a program is run', () => {
    const env = { HOME: 'checkout', USERPROFILE: '.' };
    expect(stateDir(env, 'linux')).toBeUndefined();
    expect(credentialDirs(env, 'linux')).toEqual([]);
    expect(configFile(env, 'linux')).toBeUndefined();
  });

  test('a relative folder of our own variables is a fault, not another place in each directory', () => {
    expect(() => stateDir({ KLEIS_STATE_DIR: 'x', HOME: home }, 'linux')).toThrow(/KLEIS_STATE_DIR is x/);
    expect(() => credentialDirs({ KLEIS_CACHE_DIR: 'x', HOME: home }, 'linux')).toThrow(/not an absolute path/);
  });
});
