"""Ray Tune's own deciding classes, fed with the results of trials that no Tune trial stands for."""
