// Before each file of tests.
import { makeUpForBareSystem } from './bare-system.ts';

makeUpForBareSystem();
