// Loaded only where spans are sent: with it comes the SDK of OpenTelemetry. What the environment says of it (endpoint,
// headers, certificates, sampler, limits, resource) the SDK reads itself, as its specification has it.
import {
  createTraceState,
  diag,
  DiagLogLevel,
  ROOT_CONTEXT,
  type Span as OtelSpan,
  SpanKind,
  SpanStatusCode,
  trace,
  type Tracer,
  TraceFlags,
} from '@opentelemetry/api';
import { setGlobalErrorHandler } from '@opentelemetry/core';
import { OTLPTraceExporter as JsonExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { OTLPTraceExporter as ProtobufExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';
import type { Logger } from 'pino';
import { clean } from '../../shared/text.ts';
import type { Attributes, RequestStart, Span, Spans, Step, Trace } from './spans.ts';

export interface SpanOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  readonly version: string;
  readonly host: string;
}

/** Milliseconds from one line of the log to the next, while the collector does not take what it is sent. */
const tellEvery = 5 * 60_000;

const ignore = (): void => undefined;

export function startSpans({ env, log, version, host }: SpanOptions): Spans {
  const tell = createTelling(log);
  setGlobalErrorHandler((error) => tell(typeof error === 'string' ? error : (error.message ?? 'unknown')));
  const logger = { error: tell, warn: tell, info: ignore, debug: ignore, verbose: ignore };
  diag.setLogger(logger, { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
  const resource = defaultResource()
    .merge(
      resourceFromAttributes({
        'service.name': 'kleis-broker',
        'service.version': version,
        'service.instance.id': host,
      }),
    )
    .merge(detectResources({ detectors: [envDetector] }));
  const provider = new BasicTracerProvider({
    resource,
    spanProcessors: [new BatchSpanProcessor(exporterFor(env, tell))],
  });
  const tracer = provider.getTracer('kleis-broker', version);
  return {
    begin: ({ method, route, attributes, startedAt, caller }: RequestStart) => {
      const name = `${method} ${route}`;
      const options = { kind: SpanKind.SERVER, startTime: startedAt, attributes: { ...attributes } };
      return wrap(tracer, tracer.startSpan(name, options, contextOf(caller)));
    },
    async end(patience) {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, patience);
      });
      const sent = provider
        .shutdown()
        .catch((error: unknown) => tell(error instanceof Error ? error.message : 'unknown'));
      await Promise.race([sent, late]);
      clearTimeout(timer);
    },
  };
}

/** http/protobuf, the default of the specification, which every collector takes; or http/json. */
function exporterFor(env: SpanOptions['env'], tell: (message: string) => void): JsonExporter | ProtobufExporter {
  const wanted = env['OTEL_EXPORTER_OTLP_TRACES_PROTOCOL'] ?? env['OTEL_EXPORTER_OTLP_PROTOCOL'] ?? '';
  if (wanted === 'http/json') return new JsonExporter();
  if (wanted !== '' && wanted !== 'http/protobuf') tell(`${wanted} is not supported; it is http/protobuf`);
  return new ProtobufExporter();
}

/** One line now and then: a collector that is down is no news each second. */
function createTelling(log: SpanOptions['log']): (message: string) => void {
  let toldAt = Number.NEGATIVE_INFINITY;
  let untold = 0;
  return (message) => {
    untold += 1;
    if (performance.now() - toldAt < tellEvery) return;
    // A URL may hold a password.
    const reason = clean(message, 300).replaceAll(/\/\/[^/\s@]*@/g, '//…@');
    log.warn({ reason, times: untold }, 'spans could not be sent');
    toldAt = performance.now();
    untold = 0;
  };
}

const kinds: Partial<Record<Step, SpanKind>> = { mint: SpanKind.CLIENT };

function wrap(tracer: Tracer, span: OtelSpan): Span {
  return {
    trace: traceOf(span),
    begin(step, attributes) {
      const options = { kind: kinds[step] ?? SpanKind.INTERNAL, attributes: { ...attributes } };
      return wrap(tracer, tracer.startSpan(step, options, trace.setSpan(ROOT_CONTEXT, span)));
    },
    describe: (attributes: Attributes) => void span.setAttributes({ ...attributes }),
    end(failure) {
      if (failure !== undefined) {
        span.setAttribute('error.type', failure);
        span.setStatus({ code: SpanStatusCode.ERROR });
      }
      span.end();
    },
  };
}

function traceOf(span: OtelSpan): Trace {
  const { traceId: id, spanId, traceFlags, traceState } = span.spanContext();
  const sampled = (traceFlags & TraceFlags.SAMPLED) !== 0;
  const state = traceState?.serialize();
  return {
    id,
    parent: spanId,
    sampled,
    state,
    headers: {
      traceparent: `00-${id}-${spanId}-${sampled ? '01' : '00'}`,
      ...(state !== undefined && state !== '' && { tracestate: state }),
    },
  };
}

function contextOf(caller: Trace | undefined) {
  if (caller === undefined) return ROOT_CONTEXT;
  const { id: traceId, parent: spanId, sampled, state } = caller;
  return trace.setSpanContext(ROOT_CONTEXT, {
    traceId,
    spanId,
    isRemote: true,
    traceFlags: sampled ? TraceFlags.SAMPLED : TraceFlags.NONE,
    ...(state !== undefined && { traceState: createTraceState(state) }),
  });
}
