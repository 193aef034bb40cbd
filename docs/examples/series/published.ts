/** @file Stands in for what a team already has: a pre-trained model in a folder, and readings of its sensors. */

import { writeFile } from 'node:fs/promises';
import { Random } from '@onnx-lora/sdk/data';
import { ModelBuilder, publishModel as publish, type SmallModel } from '@onnx-lora/testing';
import type { SeriesConfig } from './preprocessor.ts';

const HIDDEN = 32;

/** The model's own task: a day of hours to the next six. */
export const seriesConfig: SeriesConfig = {
  length: 24,
  horizon: 6,
  variables: { temperature: { mean: 20, std: 5 }, pressure: { mean: 2, std: 0.5 } },
};

/** Writes `config.json`, `preprocessor_config.json` and `onnx/model.onnx`. */
export async function publishModel(folder: string): Promise<void> {
  await publish(folder, {
    model: forecasterModel(seriesConfig),
    config: { model_type: 'forecaster' },
    preprocessor: { processor_class: 'SeriesProcessor', ...seriesConfig },
  });
}

/**
 * `forecast` `[batch, horizon, variables]` = the last of `readings` `[batch, length, variables]` + what encoder and head add.
 */
function forecasterModel({ length, horizon, variables }: SeriesConfig): SmallModel {
  const builder = new ModelBuilder();
  const { g } = builder;
  const width = Object.keys(variables).length;
  const readings = { name: 'readings', type: 'float32', shape: ['batch', length, width] } as const;
  let hidden = g.Reshape(readings, [-1, length * width]);
  for (const [i, from] of [length * width, HIDDEN].entries()) {
    const weight = builder.weight(`encoder.${i}.weight`, [HIDDEN, from], 2 / Math.sqrt(from));
    hidden = g.Tanh(g.Gemm(hidden, weight, builder.weight(`encoder.${i}.bias`, [HIDDEN], 0.1), { transB: true }));
  }
  // It knows nothing but that the next readings will be about the last one.
  const head = builder.weight('head.weight', [horizon * width, HIDDEN], 0.02);
  const change = g.Gemm(hidden, head, builder.weight('head.bias', [horizon * width], 0.02), { transB: true });
  g.Add(g.Slice(readings, [length - 1], [length], [1]), g.Reshape(change, [-1, horizon, width]));
  builder.name('/Add', 'forecast');
  return builder.model([readings], [{ name: 'forecast', type: 'float32', shape: ['batch', horizon, width] }]);
}

/** Writes hourly readings that swing with a period, and slowly beside it; the pressure follows some hours behind. */
export async function writeSensor(file: string, period: number, seed: number): Promise<void> {
  const random = new Random(seed);
  const wave = (hour: number): number => Math.sin((2 * Math.PI * hour) / period);
  const rows = Array.from({ length: 800 }, (_, hour) => {
    const temperature = 20 + 6 * wave(hour) + 2 * wave(hour / 5) + random.uniform(-0.5, 0.5);
    const pressure = 2 + 0.4 * wave(hour - 3) + random.uniform(-0.05, 0.05);
    const time = new Date(Date.UTC(2026, 0, 1, hour)).toISOString();
    return `${time},${temperature.toFixed(2)},${pressure.toFixed(3)}`;
  });
  await writeFile(file, `time,temperature,pressure\n${rows.join('\n')}\n`);
}
