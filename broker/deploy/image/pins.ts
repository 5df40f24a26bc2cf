import type { Architecture } from './architecture.ts';

/** SHA-256 of what the Kubernetes project released. */
export const kubectl: { readonly version: string } & Readonly<Record<Architecture, string>> = {
  version: '1.36.3',
  amd64: 'ebbd080e7c2e275093b55915722043257eb24004363e20acb3c4d71919f88336',
  arm64: '3d86f24401c41ae5a46ac50eef8865fe891d3647d324a0836f6c63757a126e62',
};
