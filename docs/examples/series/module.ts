/** @file Binds what the example's domain brings. */

import { MODEL_FAMILY, PREPROCESSOR_FACTORY, TASK_FACTORY } from '@onnx-lora/sdk';
import { ContainerModule } from 'inversify';
import { forecaster } from './family.ts';
import { ForecastFactory } from './forecast.ts';
import { SeriesPreprocessorFactory } from './preprocessor.ts';

/** A family, a task and a preprocessor for series of readings. */
export const seriesModule: ContainerModule = new ContainerModule(({ bind }) => {
  bind(MODEL_FAMILY).toConstantValue(forecaster);
  bind(TASK_FACTORY).toConstantValue(new ForecastFactory());
  bind(PREPROCESSOR_FACTORY).toConstantValue(new SeriesPreprocessorFactory());
});
