import { buildSite } from './build.ts';

const out = '_site';
process.stdout.write(`${await buildSite(out)} pages: open ${out}/index.html\n`);
