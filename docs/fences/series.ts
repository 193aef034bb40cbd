/** @file The model and the readings of the page about plugins. */

import { publishModel, writeSensor } from '../examples/series/published.ts';
import type { Fixtures } from './fixtures.ts';

export const seriesFiles: Fixtures = {
  'models/forecaster': publishModel,
  'boiler.csv': (file) => writeSensor(file, 12, 1),
};
