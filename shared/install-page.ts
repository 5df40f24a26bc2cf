/** All ways to install Kleis, how to upgrade and how to remove it. */
export const installPage = 'https://github.com/kleis-dev/kleis/blob/main/docs/install.md';
