export const chartFolder = 'broker/deploy/helm/kleis-broker';
