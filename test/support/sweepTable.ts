/** @file The table of a sweep. */

import { readFileSync } from 'node:fs';
import path from 'node:path';

/** The cells of a sweep's table without those that depend on the machine and on the moment. */
export function tableOf(out: string): string[][] {
  const [head, ...rows] = readFileSync(path.join(out, 'sweep.csv'), 'utf8').trimEnd().split('\n');
  const names = head!.split(',');
  const isMeasured = new Set(['training_seconds', 'memory_bytes', 'fronts']);
  // No name of a configuration but those in quotes has a comma.
  const cells = rows.map((row) => row.replaceAll(/"[^"]*"/g, (name) => name.replaceAll(',', ';')).split(','));
  return [names, ...cells].map((row) => row.filter((_, i) => !isMeasured.has(names[i]!)));
}
