/** @file Data by a name: logs with many readings an hour, as the table with one row per hour that forecasting reads. */

import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { cellNumber, cellText, readTable, writeFileAtomic } from '@onnx-lora/sdk/data';
import type { DatasetFactory } from '@onnx-lora/sdk/plugin';

/** `--data hourly:log.csv`: means of all columns over each hour of the column `time`. */
export const hourly: DatasetFactory = {
  name: 'hourly',
  description: 'A log with a column "time", as means over hours: hourly:log.csv',
  prepare: async ({ source, folder, onProgress }) => {
    if (source === '')
      throw new OnnxLoraError('DATA_INVALID', 'hourly needs a file. Write hourly:log.csv, with the path of the log.');
    const { rows, columns } = await readTable(source);
    const names = columns.filter((column) => column !== 'time');
    const hours = new Map<string, { readonly sums: number[]; count: number }>();
    for (const row of rows) {
      // 2026-01-31T12:34Z → 2026-01-31T12
      const hour = (cellText(row, 'time') ?? '').slice(0, 13);
      const found = hours.get(hour) ?? { sums: names.map(() => 0), count: 0 };
      names.forEach((name, i) => (found.sums[i]! += cellNumber(row, name)));
      found.count++;
      hours.set(hour, found);
    }
    const lines = [...hours].map(([hour, { sums, count }]) =>
      [`${hour}:00Z`, ...sums.map((sum) => sum / count)].join(','),
    );
    const text = `${[['time', ...names].join(','), ...lines].join('\n')}\n`;
    // The folder stays: what is there already, whole, is not written again.
    const file = path.join(folder, `${createHash('sha256').update(text).digest('hex').slice(0, 16)}.csv`);
    if (!existsSync(file)) await writeFileAtomic(file, text);
    onProgress?.(`${lines.length} hours of ${rows.length} readings`);
    return file;
  },
};
