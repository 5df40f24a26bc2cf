// The package describes its index alone, which loads all of it: fetch, caches, web sockets, mocks. See decision 28.
declare module 'undici/lib/dispatcher/client.js' {
  export { Client as default } from 'undici';
}
