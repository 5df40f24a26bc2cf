/** As OCI and Debian both name them. */
export type Architecture = 'amd64' | 'arm64';

export const architectures: readonly Architecture[] = ['amd64', 'arm64'];

/** As Node names it. */
export const nodeArchitecture: Readonly<Record<Architecture, string>> = { amd64: 'x64', arm64: 'arm64' };

/** As GNU names the folder of its libraries. */
export const gnuArchitecture: Readonly<Record<Architecture, string>> = {
  amd64: 'x86_64-linux-gnu',
  arm64: 'aarch64-linux-gnu',
};
