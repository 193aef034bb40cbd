/** @file The server's metrics. */

import type { AdapterCatalog } from '../adapters/catalog.ts';
import type { Sessions } from '../inference/sessions.ts';
import type { SchedulerObserver } from '../scheduler/options.ts';
import type { BatchScheduler } from '../scheduler/scheduler.ts';
import type { AnsweredRequest } from './log.ts';
import { COUNTS, Metrics, PARTS, SECONDS } from './metrics.ts';
import { Counters } from './counters.ts';

export interface ServerMetrics {
  readonly observer: SchedulerObserver;
  /** Numbers for the status page, which names tenants. */
  readonly tallies: Counters;
  answered(request: AnsweredRequest, tenant: string): void;
  /** Measures a catalog's loads. */
  counted(catalog: AdapterCatalog): AdapterCatalog;
  watch(scheduler: BatchScheduler<never, unknown>, sessions: Sessions): void;
  text(): string;
}

/** Creates the metrics of a server. */
export function serverMetrics(): ServerMetrics {
  const metrics = new Metrics();
  const tallies = new Counters();
  const requests = metrics.counter('onnx_lora_requests_total', 'Requests that have ended, by their status.');
  const seconds = metrics.histogram('onnx_lora_request_seconds', 'From the first byte to the last one sent.', SECONDS);
  const waited = metrics.histogram('onnx_lora_queue_seconds', 'Waiting time of requests for their batch.', SECONDS);
  const computed = metrics.histogram('onnx_lora_compute_seconds', 'What batches computed.', SECONDS);
  const jobs = metrics.histogram('onnx_lora_batch_requests', 'Requests in a batch.', COUNTS);
  const rows = metrics.histogram('onnx_lora_batch_rows', 'Rows of a batch.', COUNTS);
  const adapters = metrics.histogram('onnx_lora_batch_adapters', 'Different adapters in a batch.', COUNTS);
  const padding = metrics.histogram('onnx_lora_batch_padding_ratio', 'The part of a batch that is padding.', PARTS);
  const refused = metrics.counter('onnx_lora_refused_total', 'Requests that were refused before they waited.');
  const gone = metrics.counter('onnx_lora_gone_total', 'Requests whose client or deadline had gone before the answer.');
  const loads = metrics.histogram(
    'onnx_lora_adapter_load_seconds',
    'Adapters that were read, which nothing held.',
    SECONDS,
  );
  const failed = metrics.counter('onnx_lora_adapter_load_failures_total', 'Adapters that could not be read.');
  metrics.gauge('process_resident_memory_bytes', 'Memory of the process.', () => process.memoryUsage.rss());
  metrics.gauge('process_cpu_seconds_total', 'CPU time of the process.', () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  });
  metrics.gauge('process_start_time_seconds', 'When the process began.', () => Date.now() / 1000 - process.uptime());
  return {
    tallies,
    observer: {
      batch: (report) => {
        tallies.batch(report);
        for (const wait of report.waited) waited(wait / 1000);
        computed(report.computed / 1000);
        jobs(report.jobs);
        rows(report.rows);
        adapters(report.adapters);
        padding(report.padding);
      },
      refused: (reason) => {
        tallies.refused(reason);
        refused({ reason });
      },
      gone: () => {
        tallies.gone();
        gone();
      },
    },
    answered: (request, tenant) => {
      const { method, route, status, seconds: took } = request;
      tallies.answered(request, tenant);
      requests({ method, route, status });
      seconds(took, { route });
    },
    counted: (catalog) => ({
      resolve: (name, options) => catalog.resolve(name, options),
      list: () => catalog.list(),
      load: async (key) => {
        const start = performance.now();
        try {
          return await catalog.load(key);
        } catch (error) {
          failed();
          throw error;
        } finally {
          const took = performance.now() - start;
          tallies.took('reading', took);
          loads(took / 1000);
        }
      },
    }),
    watch: (scheduler, sessions) => {
      metrics.gauge('onnx_lora_waiting_requests', 'Requests that wait.', () => scheduler.waiting.jobs);
      metrics.gauge('onnx_lora_waiting_bytes', 'Bytes that they hold.', () => scheduler.waiting.bytes);
      metrics.gauge('onnx_lora_computing_batches', 'Batches that compute.', () => scheduler.computing);
      metrics.gauge('onnx_lora_sessions', 'Graphs that are loaded.', () => sessions.count);
      metrics.gauge('onnx_lora_adapters', 'Adapters in memory, by their keys.', () => sessions.adapterKeys.size);
    },
    text: () => metrics.text(),
  };
}
