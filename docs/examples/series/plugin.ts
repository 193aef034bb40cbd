/** @file Everything that the example's domain brings. */

import { definePlugin, type Plugin } from '@onnx-lora/sdk/plugin';
import { forecaster } from './family.ts';
import { ForecastFactory } from './forecast.ts';
import { SeriesPreprocessorFactory } from './preprocessor.ts';

/** A family, a task and a preprocessor for series of readings. */
export const seriesPlugin: Plugin = definePlugin({
  name: 'onnx-lora-series',
  version: '1.0.0',
  description: 'Series of sensor readings: the next ones.',
  families: [forecaster],
  preprocessors: [new SeriesPreprocessorFactory()],
  tasks: [new ForecastFactory()],
});
