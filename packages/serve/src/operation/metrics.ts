/** @file Metrics in Prometheus' text format: counters, gauges and histograms. */

/** Labels; their values come from the server, so that there are few. */
export type Labels = Readonly<Record<string, string | number>>;

interface Family {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  /** Lines without the name: suffix and value. */
  readonly lines: () => Iterable<readonly [suffix: string, value: number]>;
}

/** Buckets of seconds. */
export const SECONDS: readonly number[] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
/** Buckets of counts. */
export const COUNTS: readonly number[] = [1, 2, 4, 8, 16, 32, 64, 128];
/** Buckets of fractions. */
export const PARTS: readonly number[] = [0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1];

/** A registry of metrics; names start with `onnx_lora_`, apart from the process's. */
export class Metrics {
  readonly #families: Family[] = [];

  counter(name: string, help: string): (labels?: Labels, by?: number) => void {
    const values = new Map<string, number>();
    this.#families.push({ name, type: 'counter', help, lines: () => values });
    return (labels = {}, by = 1) => {
      const key = written(labels);
      values.set(key, (values.get(key) ?? 0) + by);
    };
  }

  /** Adds a gauge, read on demand. */
  gauge(name: string, help: string, read: () => number): void {
    this.#families.push({ name, type: 'gauge', help, lines: () => [['', read()]] });
  }

  histogram(name: string, help: string, bounds: readonly number[]): (value: number, labels?: Labels) => void {
    const all = new Map<string, { readonly labels: Labels; readonly counts: number[]; sum: number; count: number }>();
    this.#families.push({
      name,
      type: 'histogram',
      help,
      *lines() {
        for (const { labels, counts, sum, count } of all.values()) {
          for (const [i, bound] of bounds.entries()) yield [`_bucket${written({ ...labels, le: bound })}`, counts[i]!];
          yield [`_bucket${written({ ...labels, le: '+Inf' })}`, count];
          yield [`_sum${written(labels)}`, sum];
          yield [`_count${written(labels)}`, count];
        }
      },
    });
    return (value, labels = {}) => {
      const key = written(labels);
      const one = all.get(key) ?? { labels, counts: bounds.map(() => 0), sum: 0, count: 0 };
      all.set(key, one);
      for (const [i, bound] of bounds.entries()) if (value <= bound) one.counts[i]!++;
      one.sum += value;
      one.count++;
    };
  }

  text(): string {
    const lines: string[] = [];
    for (const { name, type, help, lines: own } of this.#families) {
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
      for (const [suffix, value] of own()) lines.push(`${name}${suffix} ${value}`);
    }
    return `${lines.join('\n')}\n`;
  }
}

/** Content type of {@link Metrics.text}. */
export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

function written(labels: Labels): string {
  const all = Object.entries(labels).map(([name, value]) => `${name}="${escaped(String(value))}"`);
  return all.length > 0 ? `{${all.join()}}` : '';
}

function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
