"""What arrays of responses say about the task, and about each other.

The percentile of a score is its rank among the scores of data that are unrelated to X but like Y in all else.
They are made from Y by an exchange, for instance of samples (:mod:`simopt.analysis.exchange`). The table was
measured by ``scripts/calibrate_nulls.py`` on unrelated X and Y of 200 samples (100 for 5 conditions) x 20
units. ``given`` is the share of pairs that get a percentile, in %; the columns of measures are the share of
percentiles at or above 95, in %. ``innovations`` holds both figures for that null. There are 50 images with 4
repeats, and 5 sessions of 40 samples. Shares of fewer than 20 pairs are left out.

===========================  ===== ===== ===== ====== ============ ======
unrelated pairs               given   cka   nbs linreg  innovations  pairs
===========================  ===== ===== ===== ====== ============ ======
independent                   100.0   4.3   4.1    4.2                1000
heavy-tailed                   99.7   6.1   6.0    5.1                1000
AR(1) 0.2                      97.3   4.8   4.6    4.6       93 4.8   1000
AR(1) 0.5                      97.8   4.9   4.5    4.5       94 4.7   1000
AR(1) 0.9                      98.4   4.7   4.9    5.0       93 4.7   1000
AR(1) 0.9 against 0.5          98.6   4.2   3.7    4.1       94 5.0   1000
ARMA                           98.5   5.4   5.7    5.8       95 6.2   1000
walks                           0.0                          92 4.7   1000
5 conditions                  100.0   6.5   4.7    4.4                1000
10 conditions                 100.0   4.8   4.1    4.8                1000
images                        100.0   5.3   4.9    5.9                1000
images, by repeat             100.0   5.3   4.9    5.9                1000
sessions                      100.0   5.4   4.5    6.1                1000
sorted against independent     97.4   4.8   4.7    5.5                1000
5 conditions, undeclared        0.1                                   1000
10 conditions, undeclared       0.0                                   1000
images, undeclared              0.0                                   1000
sessions, undeclared            0.0                                   1000
sorted against sorted           0.0                                   1000
counts of AR(1) 0.5             0.3                                   1000
counts of AR(1) 0.9            0.1                                   1000
===========================  ===== ===== ===== ====== ============ ======

With procrustes_angular the shares are 4.1 (independent), 4.5 (AR(1) 0.5) and 4.9 (images), with
rsa_crossnobis 4.9 (images, by repeat).

No test finds repeats of a stimulus that stand in random order and differ by noise: name them in ``groups``.

A step or a drift that is too small for the tests raises the shares: to about 13 % for a step of 0.6 standard
deviations in 60 samples. X and Y with a common cause, such as events at the same samples, are not unrelated.

Power is the share of 300 related pairs with a percentile at or above 95, in % (cka, nbs, linreg). With noise
at which CKA finds 80 % if the structure of the samples is known: independent 75, 72, 73; 10 conditions 84,
99, 97; images 79, 78, 79; sessions 72, 100, 100. With the noise of the independent samples: AR(1) 0.2 72, 68,
71; AR(1) 0.5 49, 48, 50; the null of innovations for all of these, AR(1) 0.9 and walks 66 to 74.
"""
