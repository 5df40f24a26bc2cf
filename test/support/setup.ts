// Before each file of tests.
import { knowLocalhost } from './localhost.ts';

knowLocalhost();
