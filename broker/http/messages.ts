import http from 'node:http';
import type { Express } from 'express';

interface Messages {
  readonly IncomingMessage: typeof http.IncomingMessage;
  readonly ServerResponse: typeof http.ServerResponse;
}

/**
 * Requests and responses that are born as express wants them. It gives each of them another prototype otherwise, and V8
 * then finds every property of them anew: 70 µs for a request, where all else of express takes 3.
 */
export function messagesOf(app: Express): Messages {
  class IncomingMessage extends http.IncomingMessage {}
  class ServerResponse<Request extends http.IncomingMessage> extends http.ServerResponse<Request> {}
  Object.setPrototypeOf(IncomingMessage.prototype, app.request);
  Object.setPrototypeOf(ServerResponse.prototype, app.response);
  app.request = IncomingMessage.prototype as typeof app.request;
  app.response = ServerResponse.prototype as typeof app.response;
  return { IncomingMessage, ServerResponse };
}
