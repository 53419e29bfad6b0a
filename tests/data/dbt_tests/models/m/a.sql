select * from (values (1,'x',1.5,'2024-01-01'::date),(1,'y',null,'2024-01-02'),(2,null,3.0,null),(null,'None',9.0,'2024-01-03')) t(id, s, n, d)
